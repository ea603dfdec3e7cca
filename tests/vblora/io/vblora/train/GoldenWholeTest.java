package io.vblora.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.Golden;
import io.vblora.JsonFields;
import io.vblora.adapter.Adapter;
import io.vblora.blas.Blas;
import io.vblora.data.CausalLmExample;
import io.vblora.data.SequenceExample;
import io.vblora.data.TokenSequence;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.model.Execution;
import io.vblora.model.LlamaModel;
import io.vblora.model.OnePass;
import io.vblora.model.ProblemType;
import io.vblora.model.SequenceConfig;
import io.vblora.model.SequenceModel;
import io.vblora.model.config.Pooling;
import io.vblora.parameters.NamedTensors;
import io.vblora.parameters.Trainable;
import io.vblora.weights.SafetensorsFile;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Adapters of PEFT's that hold biases and modules of the base model: their gradients and four steps of training as
 * PEFT's own code computes them in float64, and the tensors that it stores (tests/golden/whole). Nothing may be further
 * from it than PyTorch's own float32. Errors are the largest difference over the largest magnitude of a tensor.
 */
class GoldenWholeTest {
    private static final int STEPS = 4;
    private static final Path FOLDER = Golden.own("whole");

    @TempDir
    private Path temporary;

    private static int[] ints(SafetensorsFile file, String name, int step) {
        try (Tensor tensor = file.read(name)) {
            int[] all = tensor.toInts();
            int n = all.length / STEPS;
            return Arrays.copyOfRange(all, step * n, (step + 1) * n);
        }
    }

    /** The examples of all steps, one after the other; a step has as many as there are lengths. */
    private static <E> List<E> examples(String family, Row<E> row) {
        List<E> examples = new ArrayList<>();
        try (SafetensorsFile file = SafetensorsFile.open(FOLDER.resolve(family + ".safetensors"))) {
            for (int step = 0; step < STEPS; step++) {
                int[] lengths = ints(file, "lengths", step);
                for (int i = 0; i < lengths.length; i++) {
                    examples.add(row.of(file, step, i, lengths[i], lengths.length));
                }
            }
        }
        return examples;
    }

    private interface Row<E> {
        E of(SafetensorsFile file, int step, int row, int length, int rows);
    }

    private static int[] row(SafetensorsFile file, String name, int step, int row, int length, int rows) {
        int[] all = ints(file, name, step);
        int width = all.length / rows;
        return Arrays.copyOfRange(all, row * width, row * width + length);
    }

    @ParameterizedTest
    @ValueSource(strings = {"llama_lora_only", "llama_lora_saved"})
    void ofLlama(String name) {
        List<CausalLmExample> examples = examples("llama",
                (file, step, row, length, rows) -> CausalLmExample.of(row(file, "input_ids", step, row, length, rows)));
        try (Stream stream = Stream.cpu(2);
                Execution execution = new Execution(stream, Blas.on(stream.device()));
                LlamaModel model = LlamaModel.load(FOLDER.resolve("llama"), null, stream);
                Adapter adapter = Adapter.load(FOLDER.resolve(name), stream)) {
            model.attach(adapter);
            check(name, adapter, new CausalLmObjective(model), execution, examples);
            model.detach();
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"bert_lora_all", "bert_vblora_only", "bert_vblora_saved"})
    void ofBert(String name) {
        List<SequenceExample> examples = examples("bert", (file, step, row, length, rows) -> new SequenceExample(
                row(file, "input_ids", step, row, length, rows), row(file, "token_type_ids", step, row, length, rows),
                ints(file, "labels", step)[row]));
        SequenceConfig task = new SequenceConfig(ProblemType.SINGLE_LABEL_CLASSIFICATION, Pooling.POOLER,
                List.of("0", "1", "2"), 7);
        try (Stream stream = Stream.cpu(2);
                Execution execution = new Execution(stream, Blas.on(stream.device()));
                SequenceModel model = SequenceModel.load(Golden.own("seqcls/bert/model"), task, null, stream);
                Adapter adapter = Adapter.load(FOLDER.resolve(name), stream)) {
            model.attach(adapter);
            check(name, adapter, new SequenceObjective(model), execution, examples);
        }
    }

    private <E extends TokenSequence> void check(String name, Adapter adapter, Objective<E> objective,
            Execution execution, List<E> examples) {
        Stream stream = execution.stream();
        JsonFields bounds = JsonFields.read(FOLDER.resolve("index.json")).object(name);
        adapter.save(temporary, false, stream);
        assertStoresWhatPeftDoes(FOLDER.resolve(name), temporary);
        try (SafetensorsFile expected = SafetensorsFile.open(FOLDER.resolve(name).resolve("expected.safetensors"))) {
            List<E> first = examples.subList(0, examples.size() / STEPS);
            adapter.trainables().forEach(t -> t.enableTraining(stream));
            adapter.trainables().forEach(t -> t.zeroGradient(stream));
            OnePass.loss(stream, 1.0 / objective.lossTerms(first),
                    training -> objective.addGradients(execution, first, training));
            adapter.trainables().forEach(t -> t.backward(stream));
            compare(expected, "grad.", numbers(adapter, stream, true), bounds.number("gradient_f32_error", 0, 1));

            TrainingArguments arguments = TrainingArguments.builder().numTrainEpochs(1).shuffle(false)
                    .perDeviceTrainBatchSize(examples.size() / STEPS).learningRate(5e-3).learningRateHead(5e-3)
                    .learningRate("learning_rate_vector_bank", 1e-3)
                    .learningRate("learning_rate_logits", 1e-2).weightDecay(0.1).maxGradNorm(0)
                    .lrSchedulerType(LrSchedulerType.CONSTANT).warmupSteps(0).build();
            List<Double> losses = new ArrayList<>();
            new Trainer<>(objective, execution, arguments, List.of(new TrainingListener() {
                @Override
                public void onStep(Step step) {
                    losses.add(step.loss());
                }
            })).train(examples, List.of());
            try (Tensor truth = expected.read("losses")) {
                float[] peft = truth.toFloats();
                assertEquals(STEPS, losses.size());
                for (int i = 0; i < STEPS; i++) {
                    // Stored in float32, which is half a unit more.
                    assertEquals(peft[i], losses.get(i), (bounds.number("loss_f32_error", 0, 1) + 6e-8) * peft[i],
                            "loss of step " + (i + 1));
                }
            }
            compare(expected, "final.", numbers(adapter, stream, false), bounds.number("final_f32_error", 0, 1));
        }
    }

    /** Gradients or parameters, by PEFT's names. */
    private static Map<String, float[]> numbers(Adapter adapter, Stream stream, boolean gradients) {
        Map<String, float[]> numbers = new LinkedHashMap<>();
        for (Trainable trainable : adapter.trainables()) {
            try (NamedTensors named = gradients ? trainable.gradients(stream) : trainable.parameters(stream)) {
                named.asMap().forEach((name, tensor) -> numbers.put(name, tensor.toFloats()));
            }
        }
        return numbers;
    }

    /** The bias of keys is left out: it moves no output, so its gradient is a rounding and its course noise. */
    private static void compare(SafetensorsFile expected, String prefix, Map<String, float[]> found, double bound) {
        List<String> names = expected.names().stream().filter(name -> name.startsWith(prefix)).toList();
        assertEquals(found.keySet().stream().filter(name -> !name.endsWith("key.bias")).map(name -> prefix + name)
                .sorted().toList(), names.stream().sorted().toList());
        for (String name : names) {
            try (Tensor truth = expected.read(name)) {
                float[] e = truth.toFloats();
                float[] f = found.get(name.substring(prefix.length()));
                assertEquals(e.length, f.length, name);
                double largest = 0;
                double worst = 0;
                for (int i = 0; i < e.length; i++) {
                    largest = Math.max(largest, Math.abs(e[i]));
                    worst = Math.max(worst, Math.abs((double) e[i] - f[i]));
                }
                double error = worst / largest;
                assertTrue(error <= bound,
                        () -> name + " is off by " + error + " of its largest, PyTorch's float32 by " + bound);
            }
        }
    }

    /** All but the copies of biases of modules to save, which PEFT writes with bias "all" and has no use for. */
    private static void assertStoresWhatPeftDoes(Path peft, Path own) {
        try (SafetensorsFile expected = SafetensorsFile.open(peft.resolve(Adapter.WEIGHTS_FILE));
                SafetensorsFile found = SafetensorsFile.open(own.resolve(Adapter.WEIGHTS_FILE))) {
            List<String> names = expected.names().stream().filter(name -> !name.contains(".original_module.")
                    && !name.contains(".modules_to_save.")).sorted().toList();
            assertEquals(names, found.names().stream().sorted().toList());
            for (String name : names) {
                try (Tensor e = expected.read(name); Tensor f = found.read(name)) {
                    assertArrayEquals(e.shape(), f.shape(), name);
                    assertArrayEquals(e.toFloats(), f.toFloats(), name);
                }
            }
        }
    }
}
