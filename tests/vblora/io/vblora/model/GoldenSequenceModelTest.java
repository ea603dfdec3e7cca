package io.vblora.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.Golden;
import io.vblora.JsonFields;
import io.vblora.adapter.Adapter;
import io.vblora.blas.Blas;
import io.vblora.data.SequenceExample;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.model.config.Pooling;
import io.vblora.parameters.NamedTensors;
import io.vblora.parameters.Trainable;
import io.vblora.train.SequenceObjective;
import io.vblora.weights.SafetensorsFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Sequence classification (BERT, three classes) and regression (RoBERTa) on random weights with PEFT's adapters, whose
 * heads are modules to save: what transformers 5.18.0 and PEFT 0.21.0 on PyTorch 2.13.0 compute in float64 and store.
 * Errors are the largest difference over the largest magnitude of a tensor.
 */
class GoldenSequenceModelTest {
    @TempDir
    private Path temporary;

    @ParameterizedTest
    @CsvSource({"bert,vblora", "bert,vblora_topk", "bert,lora", "bert,head", "roberta,vblora", "roberta,vblora_topk",
        "roberta,lora", "roberta,head"})
    void computesAndStoresWhatPeftDoes(String family, String method) throws IOException {
        Path folder = Golden.own("seqcls").resolve(family);
        SequenceConfig task = family.equals("bert")
                ? new SequenceConfig(ProblemType.SINGLE_LABEL_CLASSIFICATION, Pooling.POOLER, List.of("0", "1", "2"), 7)
                : new SequenceConfig(ProblemType.REGRESSION, Pooling.CLS, List.of(), 7);
        // PyTorch's own float32 against the same float64, 99 of 100 runs: the README beside it says how.
        JsonFields bounds = JsonFields.read(Golden.own("seqcls/index.json")).object(family + "/" + method);
        try (Stream stream = Stream.cpu(2);
                Execution execution = new Execution(stream, Blas.on(stream.device()));
                SequenceModel model = SequenceModel.load(folder.resolve("model"), task, null, stream);
                Adapter adapter = Adapter.load(folder.resolve(method), stream);
                SafetensorsFile batch = SafetensorsFile.open(folder.resolve("batch.safetensors"));
                SafetensorsFile expected = SafetensorsFile.open(folder.resolve(method).resolve("expected.safetensors"));
                Tensor labels = batch.read("labels")) {
            model.attach(adapter);
            TokenBatch rows = PaddedRows.batch(7, ints(batch, "input_ids"), ints(batch, "token_type_ids"),
                    ints(batch, "lengths"));
            float[] logits = model.logits(execution, rows);
            assertNear(expected, "logits", logits, bounds.number("logits_f32_error", 0, 1));
            double lossBound = bounds.number("loss_f32_error", 0, 1);
            assertNear(expected, "loss", evaluationLoss(model, logits, labels.toFloats()), lossBound);
            boolean topkOnly = method.endsWith("topk");
            if (!topkOnly) {
                double loss = compareGradients(model, execution, rows, labels.toFloats(), expected,
                        bounds.number("gradient_f32_error", 0, 1));
                assertNear(expected, "loss", new float[] {(float) loss}, lossBound);
            }
            adapter.save(temporary, topkOnly, stream);
            assertArrayEquals(Files.readAllBytes(folder.resolve(method).resolve(Adapter.WEIGHTS_FILE)),
                    Files.readAllBytes(temporary.resolve(Adapter.WEIGHTS_FILE)));
            assertEquals(Files.readString(folder.resolve(method).resolve("adapter_config.json")),
                    Files.readString(temporary.resolve("adapter_config.json")));
        }
    }

    private static float[] evaluationLoss(SequenceModel model, float[] logits, float[] labels) {
        List<SequenceExample> examples = new ArrayList<>();
        for (float label : labels) {
            examples.add(new SequenceExample(new int[1], new int[1], label));
        }
        return new float[] {new SequenceObjective(model).score(logits, examples).get("eval_loss").floatValue()};
    }

    /** Returns the mean loss. */
    private static double compareGradients(SequenceModel model, Execution execution, TokenBatch rows, float[] labels,
            SafetensorsFile expected, double bound) {
        List<Trainable> trainables = model.adapter().trainables();
        trainables.forEach(t -> t.enableTraining(execution.stream()));
        trainables.forEach(t -> t.zeroGradient(execution.stream()));
        double loss = OnePass.loss(execution.stream(), 0.25,
                training -> model.addGradients(execution, rows, labels, training)) / 4;
        int compared = 0;
        for (Trainable trainable : trainables) {
            trainable.backward(execution.stream());
            try (NamedTensors gradients = trainable.gradients(execution.stream())) {
                for (String name : gradients.asMap().keySet()) {
                    assertNear(expected, "grad." + name, gradients.get(name).toFloats(), bound);
                    compared++;
                }
            }
        }
        assertEquals(expected.names().stream().filter(name -> name.startsWith("grad.")).count(), compared);
        return loss;
    }

    private static int[] ints(SafetensorsFile file, String name) {
        try (Tensor tensor = file.read(name)) {
            return tensor.toInts();
        }
    }

    private static void assertNear(SafetensorsFile expected, String name, float[] found, double bound) {
        try (Tensor truth = expected.read(name)) {
            float[] e = truth.toFloats();
            assertEquals(e.length, found.length, name);
            double largest = 0;
            double worst = 0;
            for (int i = 0; i < e.length; i++) {
                largest = Math.max(largest, Math.abs(e[i]));
                worst = Math.max(worst, Math.abs((double) e[i] - found[i]));
            }
            double error = worst / largest;
            assertTrue(error <= bound,
                    () -> name + " is off by " + error + " of its largest, PyTorch's float32 by " + bound);
        }
    }
}
