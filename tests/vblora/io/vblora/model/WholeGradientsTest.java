package io.vblora.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.adapter.Adapter;
import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.ModelParameter;
import io.vblora.adapter.ModuleShape;
import io.vblora.adapter.methods.lora.LoraConfig;
import io.vblora.adapter.methods.vblora.VbLoraConfig;
import io.vblora.blas.Blas;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.model.config.LlamaConfig;
import io.vblora.model.config.Pooling;
import io.vblora.parameters.NamedTensors;
import io.vblora.parameters.Trainable;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.function.DoubleSupplier;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Whole random models whose biases and modules are trained beside LoRA's or VB-LoRA's updates: the loss and the
 * gradients of all kinds of parameters that an adapter holds whole, against a float64 reference and its central
 * differences. Every adapter was written to a folder and read from it.
 */
class WholeGradientsTest {
    private static final int MODELS = 40;
    private static final double DIFFERENCE = 1e-5;
    /** Relative to the largest gradient of the same kind of parameter; about a hundred roundings of float32. */
    private static final double GRADIENT_TOLERANCE = 1e-5;
    private static final double LOSS_TOLERANCE = 1e-6;
    private static final int PADDING_ROW = 1;
    private static final Map<String, Double> WORST = new TreeMap<>();

    private static final List<List<String>> OF_LLAMA = List.of(List.of(), List.of("lm_head"), List.of("embed_tokens"),
            List.of("embed_tokens", "lm_head"), List.of("layers.0.mlp"), List.of("o_proj", "v_proj"),
            List.of("self_attn", "lm_head"), List.of("norm"), List.of("embed_tokens", "model.norm"),
            List.of("input_layernorm"), List.of("layers.0"));
    private static final List<List<String>> OF_BERT = List.of(List.of(), List.of("word_embeddings"),
            List.of("position_embeddings", "token_type_embeddings"), List.of("intermediate"),
            List.of("self", "output.dense"), List.of("LayerNorm"), List.of(".embeddings"), List.of("layer.0"));

    @TempDir
    Path folder;

    static LongStream seeds() {
        long first = Long.parseLong(System.getenv().getOrDefault("VBLORA_TEST_SEED", "1"));
        return LongStream.range(first, first + MODELS);
    }

    @AfterAll
    static void report() {
        System.out.println("Parameters held whole against float64, worst errors relative to the largest value: "
                + WORST);
    }

    private static <T> T one(List<T> of, Random random) {
        return of.get(random.nextInt(of.size()));
    }

    /** Updates of some modules, of those that are not saved, and more. */
    private static AdapterConfig config(Random random, boolean vbLora, int multiple, List<ModuleShape> linears,
            List<String> saved, List<String> heads) {
        List<ModuleShape> some = new ArrayList<>(linears);
        some.removeIf(module -> saved.stream().anyMatch(name -> ('.' + module.path() + '.').contains('.' + name + '.'))
                || random.nextInt(3) == 0);
        List<String> modulesToSave = new ArrayList<>(saved);
        modulesToSave.addAll(heads);
        String bias = one(List.of("none", "all", "lora_only"), random);
        if (some.isEmpty()) {
            return LoraConfig.builder().targetModules("dummy-target-modules").bias("all").modulesToSave(modulesToSave)
                    .build();
        }
        AdapterConfig updates = TinyAdapter.config(random, vbLora, multiple, some, 0);
        return updates instanceof VbLoraConfig config
                ? config.toBuilder().bias(bias).modulesToSave(modulesToSave).build()
                : ((LoraConfig) updates).toBuilder().bias(bias).modulesToSave(modulesToSave).build();
    }

    /** A new adapter with random numbers near those that it begins with, from a folder. */
    private Adapter adapter(Random random, AdapterConfig config, List<ModuleShape> linears,
            List<ModelParameter> parameters, Stream stream) {
        Path written = folder.resolve("adapter");
        try (Adapter adapter = Adapter.create(config, linears, parameters, 0.3, stream, random.nextLong())) {
            for (Trainable trainable : adapter.trainables()) {
                try (NamedTensors begin = trainable.parameters(stream); NamedTensors moved = begin.copy()) {
                    moved.asMap().values().forEach(tensor -> {
                        float[] values = tensor.toFloats();
                        for (int i = 0; i < values.length; i++) {
                            values[i] += (float) (0.2 * random.nextGaussian());
                        }
                        tensor.copyFrom(values);
                    });
                    trainable.loadParameters(stream, moved.asMap());
                }
            }
            adapter.save(written, false, stream);
        }
        return Adapter.load(written, stream);
    }

    private static Map<String, double[]> wide(Adapter adapter, Stream stream) {
        Map<String, float[]> all = new LinkedHashMap<>();
        for (Trainable trainable : adapter.trainables()) {
            try (NamedTensors parameters = trainable.parameters(stream)) {
                parameters.asMap().forEach((name, tensor) -> all.put(name, tensor.toFloats()));
            }
        }
        return ReferenceLlama.widen(all);
    }

    /** What an adapter holds whole, under the names of the model. */
    private static Map<String, double[]> whole(Adapter adapter, Map<String, double[]> parameters) {
        Map<String, double[]> whole = new LinkedHashMap<>();
        for (String name : adapter.wholeParameters().names()) {
            String key = "base_model.model." + name;
            whole.put(name, parameters.getOrDefault(key, parameters.get(key.replaceAll("\\.bias$",
                    ".base_layer.bias"))));
        }
        return whole;
    }

    @ParameterizedTest(name = "seed {0}")
    @MethodSource("seeds")
    void ofLlamaModels(long seed) throws IOException {
        Random random = new Random(seed);
        boolean vbLora = random.nextBoolean();
        TinyLlama plain = TinyLlama.write(folder.resolve("model"), random, vbLora ? 1 + random.nextInt(5) : 1);
        Path json = plain.folder().resolve("config.json");
        Files.writeString(json, Files.readString(json).replace("{\"model_type\"", "{\"pad_token_id\": " + PADDING_ROW
                + ", \"model_type\""));
        TinyLlama tiny = new TinyLlama(plain.folder(), LlamaConfig.read(plain.folder()), plain.ropeTheta(),
                plain.multiple(), plain.weights());
        try (Stream stream = Stream.cpu(2);
                Execution execution = new Execution(stream, Blas.on(stream.device()));
                LlamaModel model = LlamaModel.load(tiny.folder(), null, stream)) {
            AdapterConfig config = config(random, vbLora, tiny.multiple(), model.linears(), one(OF_LLAMA, random),
                    List.of());
            String what = "seed " + seed + ": " + tiny.config() + " " + config;
            int size = 1 + random.nextInt(3);
            int length = 2 + random.nextInt(7);
            int vocab = tiny.config().vocabSize();
            int[] ids = random.ints((long) size * length, 0, vocab).toArray();
            int[] ofAll = random.ints((long) size * length, 0, vocab).toArray();
            int[] lengths = random.ints(size, 2, length + 1).toArray();
            TokenBatch batch = PaddedRows.batch(length, ids, null, lengths);
            int[] labels = PaddedRows.pack(length, ofAll, lengths);
            try (Adapter adapter = adapter(random, config, model.linears(), model.parameters(), stream)) {
                Map<String, double[]> parameters = wide(adapter, stream);
                List<ModuleShape> modules = adapter.modules().stream().map(module -> module.shape()).toList();
                ReferenceAdapter updates = new ReferenceAdapter(config, modules, parameters);
                Map<String, double[]> whole = whole(adapter, parameters);
                ReferenceLlama reference = tiny.reference().with(whole);
                DoubleSupplier loss = () -> reference.lossSum(batch, labels,
                        updates.branches(Map.of()));
                model.attach(adapter);
                assertLoss(what, loss.getAsDouble(), model.lossSum(execution, batch, labels));
                enable(adapter, stream);
                double scale = 0.1 + random.nextDouble();
                assertLoss(what, loss.getAsDouble(), OnePass.loss(stream, scale,
                        training -> model.addGradients(execution, batch, labels, training)));
                check(what, adapter, whole, loss, scale, tiny.config().hiddenSize(), random);
                model.detach();
                assertLoss(what, tiny.reference().lossSum(batch, labels, Map.of()),
                        model.lossSum(execution, batch, labels));
            }
        }
    }

    @ParameterizedTest(name = "seed {0}")
    @MethodSource("seeds")
    void ofBertModels(long seed) throws IOException {
        Random random = new Random(seed);
        boolean vbLora = random.nextBoolean();
        TinyBert tiny = TinyBert.write(folder.resolve("model"), random, vbLora ? 1 + random.nextInt(5) : 1);
        SequenceConfig task = new SequenceConfig(ProblemType.REGRESSION, one(List.of(Pooling.values()), random),
                List.of(), 16);
        try (Stream stream = Stream.cpu(2);
                Execution execution = new Execution(stream, Blas.on(stream.device()));
                SequenceModel model = SequenceModel.load(tiny.folder(), task, null, stream)) {
            List<String> saved = new ArrayList<>(one(OF_BERT, random));
            if (task.pooling() == Pooling.POOLER && random.nextBoolean()) {
                saved.add("pooler");
            }
            AdapterConfig config = config(random, vbLora, tiny.multiple(), model.linears(), saved,
                    List.of("classifier"));
            String what = "seed " + seed + ": " + tiny.config() + " " + task + " " + config;
            TokenBatch rows = tiny.rows(random, 1 + random.nextInt(4));
            float[] targets = new float[rows.size()];
            for (int i = 0; i < targets.length; i++) {
                // Far from predictions, which are of order 1: a small difference would have the roundings of both.
                targets[i] = 5 + random.nextFloat();
            }
            try (Adapter adapter = adapter(random, config, model.linears(), model.parameters(), stream)) {
                Map<String, double[]> parameters = wide(adapter, stream);
                List<ModuleShape> modules = adapter.modules().stream().map(module -> module.shape()).toList();
                ReferenceAdapter updates = new ReferenceAdapter(config, modules, parameters);
                Map<String, double[]> whole = whole(adapter, parameters);
                Map<String, double[]> ofEncoder = new LinkedHashMap<>();
                whole.forEach((name, values) -> ofEncoder.put(name.replaceFirst("^(bert|roberta)\\.", ""), values));
                ReferenceBert reference = tiny.reference().with(ofEncoder);
                DoubleSupplier loss = () -> reference.lossSum(rows, targets, model.config(),
                        updates.branches(Map.of()), whole);
                model.attach(adapter);
                enable(adapter, stream);
                double scale = 0.1 + random.nextDouble();
                assertLoss(what, loss.getAsDouble(), OnePass.loss(stream, scale,
                        training -> model.addGradients(execution, rows, targets, training)));
                check(what, adapter, whole, loss, scale, tiny.config().hiddenSize(), random);
                model.detach();
                float[] features = model.features(execution, rows);
                double[] base = tiny.reference().pooled(rows, 0, task.pooling(), Map.of());
                for (int i = 0; i < base.length; i++) {
                    assertEquals(base[i], features[i], 1e-5, what);
                }
            }
        }
    }

    private static void enable(Adapter adapter, Stream stream) {
        adapter.trainables().forEach(trainable -> trainable.enableTraining(stream));
        adapter.trainables().forEach(trainable -> trainable.zeroGradient(stream));
    }

    private static void assertLoss(String what, double expected, double found) {
        WORST.merge("loss", Math.abs(found - expected) / (1 + expected), Math::max);
        assertEquals(expected, found, LOSS_TOLERANCE * (1 + expected), what);
    }

    private static void check(String what, Adapter adapter, Map<String, double[]> whole, DoubleSupplier loss,
            double scale, int hidden, Random random) {
        Map<String, double[]> worst = new LinkedHashMap<>();
        whole.forEach((name, values) -> {
            Tensor gradient = adapter.wholeParameters().gradient(name);
            float[] found = gradient.toFloats();
            assertEquals(values.length, found.length, what);
            boolean padded = name.contains("word_embeddings") || name.contains("embed_tokens")
                    || name.contains("position_embeddings") && name.startsWith("roberta");
            if (padded) {
                float[] row = new float[hidden];
                System.arraycopy(found, PADDING_ROW * hidden, row, 0, hidden);
                assertArrayEquals(new float[hidden], row, what);
            }
            String kind = name.endsWith(".bias") ? name.contains("Norm") ? "norm's bias" : "bias"
                    : name.contains("orm") ? "norm" : name.contains("embed") ? "table" : "matrix";
            double[] record = worst.computeIfAbsent(kind, k -> new double[2]);
            for (int element : random.ints(0, values.length).distinct().limit(Math.min(12, values.length)).toArray()) {
                if (padded && element / hidden == PADDING_ROW) {
                    continue;
                }
                double value = values[element];
                values[element] = value + DIFFERENCE;
                double above = loss.getAsDouble();
                values[element] = value - DIFFERENCE;
                double below = loss.getAsDouble();
                values[element] = value;
                double expected = scale * (above - below) / (2 * DIFFERENCE);
                record[0] = Math.max(record[0], Math.abs(expected - found[element]));
                record[1] = Math.max(record[1], Math.abs(expected));
            }
        });
        worst.forEach((kind, record) -> {
            WORST.merge(kind, record[0] == 0 ? 0 : record[0] / record[1], Math::max);
            assertTrue(record[0] <= GRADIENT_TOLERANCE * record[1],
                    () -> what + ": " + kind + " differs by " + record[0] + " of " + record[1]);
        });
    }
}
