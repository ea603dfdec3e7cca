package io.vblora.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.adapter.AdaptedModule;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.ModuleShape;
import io.vblora.adapter.methods.lora.LoraConfig;
import io.vblora.blas.Blas;
import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.LowRank;
import io.vblora.kernels.ops.StepState;
import io.vblora.model.config.Pooling;
import io.vblora.parameters.NamedTensors;
import io.vblora.parameters.Trainable;
import java.io.IOException;
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
 * Logits and loss of whole random encoders with a head, and the gradients with respect to all kinds of parameters,
 * against a float64 reference and its central differences.
 */
class BertGradientsTest {
    private static final int MODELS = 60;
    private static final double DIFFERENCE = 1e-5;
    /** Relative to the largest gradient of the same kind of parameter; about a hundred roundings of float32. */
    private static final double GRADIENT_TOLERANCE = 1e-5;
    /** Relative to the largest logit, or to the loss and 1 per row: losses may be as small as their roundings. */
    private static final double VALUE_TOLERANCE = 1e-6;
    private static final Map<String, Double> WORST = new TreeMap<>();

    @TempDir
    Path folder;

    static LongStream seeds() {
        long first = Long.parseLong(System.getenv().getOrDefault("VBLORA_TEST_SEED", "1"));
        return LongStream.range(first, first + MODELS);
    }

    @AfterAll
    static void report() {
        System.out.println("Whole encoders against float64, worst errors relative to the largest value: " + WORST);
    }

    @ParameterizedTest(name = "seed {0}")
    @MethodSource("seeds")
    void analyticGradientsAreCentralDifferences(long seed) throws IOException {
        Random random = new Random(seed);
        int method = random.nextInt(5); // LoRA, a head alone, or VB-LoRA
        TinyBert tiny = TinyBert.write(folder.resolve("model"), random, method > 1 ? 1 + random.nextInt(5) : 1);
        SequenceConfig task = task(random);
        try (Stream stream = Stream.cpu(2);
                Execution execution = new Execution(stream, Blas.on(stream.device()));
                SequenceModel model = SequenceModel.load(tiny.folder(), task, null, stream)) {
            List<ModuleShape> modules = method == 1 ? List.of()
                    : someOf(model.linears(), tiny.config().numHiddenLayers(), random);
            double dropout = random.nextBoolean() ? 0.1 + 0.4 * random.nextDouble() : 0;
            AdapterConfig config = method == 1 ? headAlone(TinyAdapter.heads(model))
                    : TinyAdapter.config(random, method > 1, tiny.multiple(), modules, TinyAdapter.heads(model),
                            dropout);
            TinyAdapter written = TinyAdapter.write(folder.resolve("adapter"), random, config, modules,
                    TinyAdapter.heads(model));
            String what = "seed " + seed + ": " + tiny.config() + " " + task + " " + config;
            try (Adapter adapter = Adapter.load(written.folder(), stream);
                    StepState step = new StepState(Device.CPU, 2)) {
                model.attach(adapter);
                step.seed(random.nextLong()).step(1 + random.nextInt(1000)).upload(stream);
                Run run = new Run(random, execution, model, step, tiny);
                Reference reference = new Reference(tiny.reference(), written.reference(), model);
                checkEvaluation(what, run, execution, model, reference);
                checkTraining(what, run, reference, random);
                if (method == 1) {
                    checkFeatures(what, run, execution, model);
                }
            }
        }
    }

    private static SequenceConfig task(Random random) {
        Pooling pooling = Pooling.values()[random.nextInt(3)];
        if (random.nextBoolean()) {
            return new SequenceConfig(ProblemType.REGRESSION, pooling, List.of(), 16);
        }
        List<String> labels = random.ints(2 + random.nextInt(6)).distinct().mapToObj(i -> "label " + i).toList();
        return new SequenceConfig(ProblemType.SINGLE_LABEL_CLASSIFICATION, pooling, labels, 16);
    }

    private static AdapterConfig headAlone(List<ModuleShape> heads) {
        return LoraConfig.builder().r(1).targetModules("dummy-target-modules")
                .modulesToSave(heads.stream().map(ModuleShape::path).toList()).build();
    }

    /** Some modules at random, sometimes only those of the last layer or the last of all, which may be the pooler's. */
    private static List<ModuleShape> someOf(List<ModuleShape> all, int layers, Random random) {
        List<ModuleShape> some = new ArrayList<>(all);
        switch (random.nextInt(4)) {
            case 0 -> some.removeIf(module -> !module.path().contains("." + (layers - 1) + "."));
            case 1 -> some.retainAll(all.subList(all.size() - 1, all.size()));
            default -> {}
        }
        ModuleShape kept = some.get(random.nextInt(some.size()));
        some.removeIf(module -> module != kept && random.nextInt(4) == 0);
        return some;
    }

    /** The reference with an adapter's parameters. */
    private record Reference(ReferenceBert bert, ReferenceAdapter adapter, SequenceModel model) {
        Map<String, double[]> head() {
            Map<String, double[]> head = new LinkedHashMap<>();
            for (ModuleShape module : TinyAdapter.heads(model)) {
                for (String name : List.of("weight", "bias")) {
                    head.put(module.path() + "." + name,
                            adapter.parameters().get(ReferenceAdapter.name(module, name)));
                }
            }
            return head;
        }

        double lossSum(TokenBatch rows, float[] targets, Map<String, float[]> masks) {
            return bert.lossSum(rows, targets, model.config(), adapter.branches(masks), head());
        }

        double[] logits(TokenBatch rows, int row) {
            return bert.logits(rows, row, model.config().pooling(), adapter.branches(Map.of()), head());
        }
    }

    /** The micro-batches of one optimizer step, what they gave, and the dropout masks that they had. */
    private static final class Run {
        final List<TokenBatch> batches = new ArrayList<>();
        final List<float[]> targets = new ArrayList<>();
        final List<Map<String, float[]>> masks = new ArrayList<>();
        final double scale;
        final double loss;
        final Map<String, float[]> gradients;

        Run(Random random, Execution execution, SequenceModel model, StepState step, TinyBert tiny) {
            model.adapter().trainables().forEach(trainable -> {
                trainable.enableTraining(execution.stream());
                trainable.zeroGradient(execution.stream());
            });
            scale = 0.1 + random.nextDouble();
            double sum = 0;
            int microBatches = 1 + random.nextInt(2);
            for (int i = 0; i < microBatches; i++) {
                TokenBatch rows = tiny.rows(random, 1 + random.nextInt(4));
                step.microBatch(i);
                batches.add(rows);
                targets.add(targets(random, model.config(), rows.size()));
                masks.add(masks(execution.stream(), model.adapter(), step, rows.tokens()));
                float[] ofBatch = targets.get(i);
                sum += OnePass.loss(execution.stream(), step, scale,
                        training -> model.addGradients(execution, rows, ofBatch, training));
            }
            loss = sum;
            gradients = gradients(model.adapter(), execution.stream());
        }

        int rows() {
            return batches.stream().mapToInt(TokenBatch::size).sum();
        }

        private static float[] targets(Random random, SequenceConfig task, int size) {
            float[] targets = new float[size];
            for (int i = 0; i < size; i++) {
                targets[i] = task.problemType() == ProblemType.REGRESSION ? (float) random.nextGaussian()
                        : random.nextInt(task.numLabels());
            }
            return targets;
        }

        private static Map<String, float[]> masks(Stream stream, Adapter adapter, StepState step, int tokens) {
            Map<String, float[]> masks = new LinkedHashMap<>();
            for (AdaptedModule module : adapter.modules()) {
                if (module.dropout() > 0) {
                    LowRank branch = LowRank.ofLayer(module.inFeatures(), module.outFeatures(), module.r(),
                            module.index(), module.dropout(), module.scaling());
                    try (Tensor mask = Tensor.allocate(Device.CPU, DType.FLOAT32, tokens, module.inFeatures())) {
                        branch.dropoutMask(stream, step, 0, 0, tokens, mask);
                        masks.put(module.path(), mask.toFloats());
                    }
                }
            }
            return masks;
        }
    }

    private static Map<String, float[]> gradients(Adapter adapter, Stream stream) {
        Map<String, float[]> gradients = new LinkedHashMap<>();
        for (Trainable trainable : adapter.trainables()) {
            trainable.backward(stream);
            try (NamedTensors found = trainable.gradients(stream)) {
                found.asMap().forEach((name, tensor) -> gradients.put(name, tensor.toFloats()));
            }
        }
        return gradients;
    }

    private static void note(String kind, double error) {
        WORST.merge(kind, error, Math::max);
    }

    private static void checkLoss(String what, String kind, double expected, double found, int rows) {
        note(kind, Math.abs(found - expected) / (expected + rows));
        assertEquals(expected, found, VALUE_TOLERANCE * (expected + rows), what);
    }

    /** Without dropout. The loss of an evaluation is made of logits, elsewhere. */
    private static void checkEvaluation(String what, Run run, Execution execution, SequenceModel model,
            Reference reference) {
        TokenBatch rows = run.batches.get(0);
        float[] logits = model.logits(execution, rows);
        int labels = model.config().numLabels();
        assertEquals(rows.size() * labels, logits.length);
        for (int row = 0; row < rows.size(); row++) {
            double[] expected = reference.logits(rows, row);
            assertEquals(labels, expected.length);
            for (int i = 0; i < labels; i++) {
                double error = Math.abs(logits[row * labels + i] - expected[i]) / (1 + Math.abs(expected[i]));
                note("logits", error);
                assertTrue(error <= VALUE_TOLERANCE, what);
            }
        }
    }

    private static void checkTraining(String what, Run run, Reference reference, Random random) {
        DoubleSupplier referenceLoss = () -> {
            double sum = 0;
            for (int i = 0; i < run.batches.size(); i++) {
                sum += reference.lossSum(run.batches.get(i), run.targets.get(i), run.masks.get(i));
            }
            return sum;
        };
        checkLoss(what, "loss", referenceLoss.getAsDouble(), run.loss, run.rows());
        ReferenceAdapter adapter = reference.adapter();
        assertEquals(adapter.parameters().keySet(), run.gradients.keySet(), what);

        Map<String, double[]> worst = new LinkedHashMap<>();
        adapter.parameters().forEach((name, values) -> {
            float[] found = run.gradients.get(name);
            assertEquals(values.length, found.length, what);
            double[] record = worst.computeIfAbsent(kind(name), k -> new double[2]);
            int elements = name.equals(ReferenceAdapter.BANK) ? values.length : Math.min(12, values.length);
            for (int element : random.ints(0, values.length).distinct().limit(elements).toArray()) {
                if (!adapter.isUsed(name, element)) {
                    assertEquals(0, found[element], 0, what);
                    continue;
                }
                double value = values[element];
                values[element] = value + DIFFERENCE;
                double above = referenceLoss.getAsDouble();
                values[element] = value - DIFFERENCE;
                double below = referenceLoss.getAsDouble();
                values[element] = value;
                double expected = run.scale * (above - below) / (2 * DIFFERENCE);
                record[0] = Math.max(record[0], Math.abs(expected - found[element]));
                record[1] = Math.max(record[1], Math.abs(expected));
            }
        });
        worst.forEach((kind, record) -> {
            note(kind, record[0] == 0 ? 0 : record[0] / record[1]);
            assertTrue(record[0] <= GRADIENT_TOLERANCE * record[1],
                    () -> what + ": " + kind + " differs by " + record[0] + " of " + record[1]);
        });
    }

    /** Kinds of parameters: bank, logits, LoRA's A and B, weights and biases of heads. */
    private static String kind(String name) {
        return name.contains("ora_") ? name.substring(name.lastIndexOf("ora_") + 4)
                : "head's " + name.substring(name.lastIndexOf('.') + 1);
    }

    /** A head on features computed once does what it does after the encoder, bit for bit. */
    private static void checkFeatures(String what, Run run, Execution execution, SequenceModel model) {
        Adapter adapter = model.adapter();
        adapter.trainables().forEach(trainable -> trainable.zeroGradient(execution.stream()));
        double sum = 0;
        for (int i = 0; i < run.batches.size(); i++) {
            TokenBatch rows = run.batches.get(i);
            float[] targets = run.targets.get(i);
            float[] features = model.features(execution, rows);
            sum += OnePass.loss(execution.stream(), run.scale,
                    training -> model.addGradientsOf(execution, features, targets, training));
            assertArrayEquals(model.logits(execution, rows),
                    model.logitsOf(execution, features), what);
        }
        assertEquals(run.loss, sum, what);
        gradients(adapter, execution.stream()).forEach(
                (name, found) -> assertArrayEquals(run.gradients.get(name), found, what));
    }
}
