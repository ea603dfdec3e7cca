package io.vblora.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.InputException;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.ModuleShape;
import io.vblora.adapter.methods.lora.LoraConfig;
import io.vblora.adapter.methods.vblora.VbLoraConfig;
import io.vblora.blas.Blas;
import io.vblora.kernels.Device;
import io.vblora.kernels.Stream;
import io.vblora.kernels.ops.StepState;
import io.vblora.model.config.Pooling;
import io.vblora.parameters.NamedTensors;
import io.vblora.parameters.ParameterGroup;
import io.vblora.parameters.Trainable;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/** How models with a head name their modules, take adapters and refuse what does not fit; their numbers elsewhere. */
class SequenceModelTest {
    private static final TokenBatch ROWS = TokenBatch.of(new int[] {1, 2, 3}, new int[] {4, 5});

    @TempDir
    Path folder;

    private final Stream stream = Stream.cpu(2);
    private final Execution execution = new Execution(stream, Blas.on(stream.device()));

    @AfterEach
    void close() {
        execution.close();
        stream.close();
    }

    private TinyBert write(boolean roberta) throws IOException {
        Random random = new Random(1);
        TinyBert tiny;
        do {
            tiny = TinyBert.write(folder, random, 2);
        } while (tiny.config().isRoberta() != roberta);
        return tiny;
    }

    private static SequenceConfig classes(Pooling pooling) {
        return new SequenceConfig(ProblemType.SINGLE_LABEL_CLASSIFICATION, pooling, List.of("a", "b", "c"), 16);
    }

    private static Adapter adapter(SequenceModel model, Stream stream) {
        VbLoraConfig config = VbLoraConfig.builder().targetModules("all-linear").numVectors(12).vectorLength(2).r(2)
                .initVectorBankBound(1).vbloraDropout(0.2).modulesToSave(List.of("classifier")).build();
        return Adapter.create(config, model.linears(), model.parameters(), model.initializerRange(), stream, 1);
    }

    @Test
    void modulesAreNamedAsHuggingFaceNamesThem() throws IOException {
        TinyBert bert = write(false);
        int hidden = bert.config().hiddenSize();
        try (SequenceModel model = SequenceModel.load(folder, classes(Pooling.MEAN), null, stream)) {
            assertEquals(List.of(new ModuleShape("classifier", hidden, 3)), TinyAdapter.heads(model));
            assertEquals(6 * bert.config().numHiddenLayers(), model.linears().size());
            assertEquals(List.of("query", "key", "value"), model.linears().subList(0, 3).stream()
                    .map(module -> module.path().replace("bert.encoder.layer.0.attention.self.", "")).toList());
            assertEquals(new ModuleShape("bert.encoder.layer.0.attention.output.dense", hidden, hidden),
                    model.linears().get(3));
            int inner = bert.config().layer().intermediateSize();
            assertEquals(new ModuleShape("bert.encoder.layer.0.intermediate.dense", hidden, inner),
                    model.linears().get(4));
            assertEquals(new ModuleShape("bert.encoder.layer.0.output.dense", inner, hidden), model.linears().get(5));
        }
        try (SequenceModel model = SequenceModel.load(folder, classes(null), null, stream)) {
            assertEquals(Pooling.POOLER, model.config().pooling());
            assertEquals(new ModuleShape("bert.pooler.dense", hidden, hidden),
                    model.linears().get(model.linears().size() - 1));
        }
        int wide = write(true).config().hiddenSize();
        try (SequenceModel model = SequenceModel.load(folder, classes(Pooling.CLS), null, stream)) {
            assertEquals(List.of(new ModuleShape("classifier.dense", wide, wide),
                    new ModuleShape("classifier.out_proj", wide, 3)), TinyAdapter.heads(model));
            assertTrue(model.linears().stream().allMatch(module -> module.path().startsWith("roberta.encoder.layer.")));
        }
        SequenceConfig regression = new SequenceConfig(ProblemType.REGRESSION, Pooling.MEAN, List.of(), 16);
        try (SequenceModel model = SequenceModel.load(folder, regression, null, stream)) {
            assertEquals(List.of(new ModuleShape("classifier", wide, 1)), TinyAdapter.heads(model));
        }
    }

    @Test
    void anAdapterBringsTheHead() throws IOException {
        write(false);
        VbLoraConfig config = VbLoraConfig.builder().targetModules("all-linear").numVectors(12).vectorLength(2).build();
        try (SequenceModel model = SequenceModel.load(folder, classes(Pooling.CLS), null, stream);
                Adapter headless = Adapter.create(config, model.linears(), stream, 1);
                Adapter adapter = adapter(model, stream)) {
            assertThrows(IllegalStateException.class, () -> model.logits(execution, ROWS));
            assertThrows(InputException.class, () -> model.attach(headless));
            assertThrows(IllegalStateException.class, () -> model.logits(execution, ROWS));
            float[] base = model.features(execution, ROWS);
            model.attach(adapter);
            assertEquals(6, model.logits(execution, ROWS).length);
            assertFalse(Arrays.equals(base, model.features(execution, ROWS)));
            model.detach();
            assertArrayEquals(base, model.features(execution, ROWS));
        }
    }

    /** Others may be saving the first adapter of a list when the second is found not to fit. */
    @Test
    void ifOneAdapterDoesNotFitNoneIsChanged() throws IOException {
        write(false);
        LoraConfig config = LoraConfig.builder().targetModules("all-linear").r(1).excludeModules(List.of("odd"))
                .modulesToSave(List.of("classifier", "word_embeddings")).build();
        try (SequenceModel model = SequenceModel.load(folder, classes(Pooling.CLS), null, stream);
                Adapter adapter = Adapter.create(config, model.linears(), model.parameters(), 0.02, stream, 1);
                Adapter headless = Adapter.create(config.toBuilder().modulesToSave(List.of()).build(),
                        model.linears(), stream, 1)) {
            List<ParameterGroup> groups = adapter.wholeParameters().groups();
            assertThrows(InputException.class, () -> model.attach(List.of(adapter, headless)));
            assertEquals(List.of(), model.adapters());
            assertEquals(groups, adapter.wholeParameters().groups());
            assertEquals(List.of(), adapter.notes());
            assertTrue(adapter.taskConfig().isEmpty());
            model.attach(adapter);
            assertNotEquals(groups, adapter.wholeParameters().groups());
            assertEquals(1, adapter.notes().size(), adapter.notes()::toString);
            assertArrayEquals(model.config().json(), adapter.taskConfig().orElseThrow());
        }
    }

    /** Two tasks may have heads of one size: an adapter's labels would then be the other one's. */
    @Test
    void anAdapterForAnotherTaskIsRefused() throws IOException {
        write(false);
        LoraConfig config = LoraConfig.builder().targetModules("all-linear").r(1).modulesToSave(List.of("classifier"))
                .build();
        SequenceConfig task = classes(Pooling.CLS);
        List<String> reversed = new ArrayList<>(task.labels());
        Collections.reverse(reversed);
        List<SequenceConfig> others = List.of(task.withPooling(Pooling.MEAN),
                new SequenceConfig(task.problemType(), Pooling.CLS, reversed, task.maxSeqLength()));
        SequenceConfig shorter = new SequenceConfig(task.problemType(), Pooling.CLS, task.labels(), 3);
        try (SequenceModel model = SequenceModel.load(folder, task, null, stream);
                Adapter fresh = Adapter.create(config, model.linears(), model.parameters(), 0.02, stream, 1);
                Adapter own = Adapter.create(config, model.linears(), model.parameters(), 0.02, stream, 1)) {
            for (SequenceConfig other : others) {
                own.setTaskConfig(other.json());
                InputException refused = assertThrows(InputException.class, () -> model.attach(List.of(fresh, own)));
                assertEquals(other.pooling() == Pooling.MEAN ? "pooling" : "id2label", refused.field());
                assertArrayEquals(other.json(), own.taskConfig().orElseThrow());
                assertTrue(fresh.taskConfig().isEmpty());
                assertEquals(List.of(), model.adapters());
            }
            own.setTaskConfig(shorter.json());
            model.attach(List.of(fresh, own));
            assertArrayEquals(shorter.json(), own.taskConfig().orElseThrow());
            assertArrayEquals(model.config().json(), fresh.taskConfig().orElseThrow());
        }
    }

    /** The encoder's own passes take more memory with an adapter on its layers, and more with a higher rank. */
    @Test
    void theEncoderRunsWithAndWithoutAdapters() throws IOException {
        write(false);
        LoraConfig.Builder lora = LoraConfig.builder().targetModules("all-linear").modulesToSave(List.of("classifier"));
        try (SequenceModel model = SequenceModel.load(folder, classes(Pooling.POOLER), null, stream);
                Adapter low = Adapter.create(lora.r(1).build(), model.linears(), model.parameters(), 0.02, stream, 1);
                Adapter high = Adapter.create(lora.r(500).build(), model.linears(), model.parameters(), 0.02, stream,
                        1)) {
            float[] base = model.encoder().lastHiddenState(execution, ROWS);
            float[] embeddings = model.encoder().embeddings(execution, ROWS, Pooling.POOLER, false);
            for (Adapter adapter : new Adapter[] {low, high, null}) {
                model.attach(adapter);
                // LoRA's B begins with zeros
                assertArrayEquals(base, model.encoder().lastHiddenState(execution, ROWS));
                assertArrayEquals(embeddings, model.encoder().embeddings(execution, ROWS, Pooling.POOLER, false));
            }
        }
    }

    /** PEFT's model has the pooler whatever it is used for, and its "all-linear" includes it. */
    @Test
    void aPoolerThatTakesNoPartMayBeAdapted() throws IOException {
        write(false);
        Path pooled = folder.resolve("pooled");
        Path meant = folder.resolve("meant");
        float[] logits;
        try (SequenceModel model = SequenceModel.load(folder, classes(Pooling.POOLER), null, stream);
                Adapter adapter = adapter(model, stream)) {
            model.attach(adapter);
            assertEquals(List.of(), adapter.notes());
            adapter.setTaskConfig(null); // as what PEFT writes has none
            adapter.save(pooled, true, stream);
        }
        try (SequenceModel model = SequenceModel.load(folder, classes(Pooling.MEAN), null, stream);
                Adapter adapter = Adapter.load(pooled, stream); Adapter own = adapter(model, stream)) {
            model.attach(adapter);
            assertEquals(1, adapter.notes().size());
            assertTrue(adapter.notes().get(0).contains(": bert.pooler.dense is adapted, but takes no part"),
                    adapter.notes().get(0));
            assertTrue(adapter.config().toString().contains("\"bert.pooler.dense\""));
            model.attach(own);
            logits = model.logits(execution, ROWS);
            assertFalse(own.config().toString().contains("pooler"));
            own.save(meant, false, stream);
        }
        try (SequenceModel model = SequenceModel.load(folder, classes(Pooling.MEAN), null, stream);
                Adapter adapter = Adapter.load(meant, stream)) {
            model.attach(adapter);
            assertEquals(List.of(), adapter.notes());
            assertArrayEquals(logits, model.logits(execution, ROWS));
        }
    }

    @Test
    void refusesWhatDoesNotFit() throws IOException {
        write(false);
        SequenceConfig overlong = new SequenceConfig(ProblemType.REGRESSION, Pooling.CLS, List.of(), 33);
        assertThrows(InputException.class, () -> SequenceModel.load(folder, overlong, null, stream));
        try (SequenceModel model = SequenceModel.load(folder, classes(Pooling.CLS), null, stream);
                Adapter adapter = adapter(model, stream)) {
            model.attach(adapter);
            for (float wrong : new float[] {-1, 3, 0.5f, Float.NaN}) {
                assertMessage("A target is", () -> train(model, new float[] {0, wrong}));
            }
            assertMessage("found 1", () -> train(model, new float[1]));
            assertMessage("found 3", () -> trainHead(model, new float[3]));
            assertMessage("Features are", () -> model.logitsOf(execution, new float[hidden(model) + 1]));
            assertThrows(IllegalStateException.class, () -> train(model, new float[2])); // training is not enabled
            assertThrows(IllegalStateException.class, () -> trainHead(model, new float[2]));
        }
    }

    private double train(SequenceModel model, float[] targets) {
        return OnePass.loss(stream, 1, training -> model.addGradients(execution, ROWS, targets, training));
    }

    private double trainHead(SequenceModel model, float[] targets) {
        return OnePass.loss(stream, 1, training -> model.addGradientsOf(execution, new float[2 * hidden(model)],
                targets, training));
    }

    private static int hidden(SequenceModel model) {
        return model.encoder().config().hiddenSize();
    }

    private static void assertMessage(String part, Executable call) {
        String message = assertThrows(IllegalArgumentException.class, call).getMessage();
        assertTrue(message.contains(part), message);
    }

    /** Wide enough for products of several tiles, with dropout. */
    @Test
    void anyNumberOfThreadsGivesTheSameBits() throws IOException {
        TinyBert tiny = write(false);
        Random random = new Random(9);
        int[] lengths = random.ints(64, 1, 13).toArray();
        int vocabulary = tiny.config().embeddings().vocabSize();
        TokenBatch rows = PaddedRows.batch(12, random.ints(64 * 12, 0, vocabulary).toArray(), null,
                lengths);
        float[] targets = new float[64];
        for (int i = 0; i < targets.length; i++) {
            targets[i] = random.nextInt(3);
        }
        Map<String, float[]> one = numbers(1, rows, targets);
        for (int threads : new int[] {1, 2, 3}) {
            numbers(threads, rows, targets).forEach((name, values) -> assertArrayEquals(one.get(name), values,
                    threads + " threads: " + name));
        }
    }

    private Map<String, float[]> numbers(int threads, TokenBatch rows, float[] targets) {
        Map<String, float[]> numbers = new LinkedHashMap<>();
        try (Stream threaded = Stream.cpu(threads);
                Execution run = new Execution(threaded, Blas.on(threaded.device()));
                SequenceModel model = SequenceModel.load(folder, classes(Pooling.POOLER), null, threaded);
                Adapter adapter = adapter(model, threaded);
                StepState step = new StepState(Device.CPU)) {
            model.attach(adapter);
            for (Trainable trainable : adapter.trainables()) {
                trainable.enableTraining(threaded);
                trainable.zeroGradient(threaded);
            }
            numbers.put("logits", model.logits(run, rows));
            numbers.put("loss", new float[] {(float) OnePass.loss(threaded, step.seed(5).step(1).upload(threaded), 1,
                    training -> model.addGradients(run, rows, targets, training))});
            for (Trainable trainable : adapter.trainables()) {
                trainable.backward(threaded);
                try (NamedTensors gradients = trainable.gradients(threaded)) {
                    gradients.asMap().forEach((name, tensor) -> numbers.put(name, tensor.toFloats()));
                }
            }
        }
        return numbers;
    }
}
