package io.vblora.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.adapter.AdaptedModule;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.Composition;
import io.vblora.adapter.ModuleShape;
import io.vblora.blas.Blas;
import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.LowRank;
import io.vblora.kernels.ops.StepState;
import io.vblora.parameters.NamedTensors;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.function.DoubleSupplier;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The loss of whole random models, and its gradients with respect to all kinds of adapter parameters, against a float64
 * reference and its central differences.
 */
class LlamaGradientsTest {
    private static final int MODELS = 40;
    private static final double DIFFERENCE = 1e-5;
    /** Relative to the largest gradient of the same kind of parameter; about a hundred roundings of float32. */
    private static final double GRADIENT_TOLERANCE = 1e-5;
    private static final double LOSS_TOLERANCE = 1e-6;
    private static final Map<String, Double> WORST = new TreeMap<>();

    @TempDir
    Path folder;

    static LongStream seeds() {
        long first = Long.parseLong(System.getenv().getOrDefault("VBLORA_TEST_SEED", "1"));
        return LongStream.range(first, first + MODELS);
    }

    @AfterAll
    static void report() {
        System.out.println("Whole models against float64, worst errors relative to the largest value: " + WORST);
    }

    @ParameterizedTest(name = "seed {0}")
    @MethodSource("seeds")
    void analyticGradientsAreCentralDifferences(long seed) throws IOException {
        Random random = new Random(seed);
        boolean vbLora = random.nextInt(3) != 0;
        TinyLlama tiny = TinyLlama.write(folder.resolve("model"), random, vbLora ? 1 + random.nextInt(5) : 1);
        try (Stream stream = Stream.cpu(2);
                Execution execution = new Execution(stream, Blas.on(stream.device()));
                LlamaModel model = LlamaModel.load(tiny.folder(), null, stream)) {
            List<ModuleShape> modules = someOf(model.linears(), tiny.config().numHiddenLayers(), random);
            double dropout = random.nextBoolean() ? 0.1 + 0.4 * random.nextDouble() : 0;
            TinyAdapter written = TinyAdapter.write(folder.resolve("adapter"), random,
                    TinyAdapter.config(random, vbLora, tiny.multiple(), modules, dropout), modules);
            String what = "seed " + seed + ": " + tiny.config() + " " + written.config();
            try (Adapter adapter = Adapter.load(written.folder(), stream);
                    StepState step = new StepState(Device.CPU, 2)) {
                model.attach(adapter);
                step.seed(random.nextLong()).step(1 + random.nextInt(1000)).upload(stream);
                Run run = new Run(random, execution, model, step);
                checkEvaluation(what, run.batches.get(0), execution, model, tiny.reference(), written.reference());
                checkTraining(what, run, tiny.reference(), written.reference(), random);
            }
        }
    }

    /** Some modules at random, sometimes only those of the last layer or the output head. */
    private static List<ModuleShape> someOf(List<ModuleShape> all, int layers, Random random) {
        List<ModuleShape> some = new ArrayList<>(all);
        switch (random.nextInt(4)) {
            case 0 -> some.removeIf(module -> !module.path().contains("." + (layers - 1) + "."));
            case 1 -> some.removeIf(module -> !module.path().equals("lm_head"));
            default -> {}
        }
        ModuleShape kept = some.get(random.nextInt(some.size()));
        some.removeIf(module -> module != kept && random.nextInt(4) == 0);
        return some;
    }

    /** @param labels [tokens] */
    private record Labelled(TokenBatch tokens, int[] labels) {}

    /** The micro-batches of one optimizer step, what they gave, and the dropout masks that they had. */
    private static final class Run {
        final List<Labelled> batches = new ArrayList<>();
        final List<Map<String, float[]>> masks = new ArrayList<>();
        final double scale;
        final double loss;
        final Map<String, float[]> gradients = new LinkedHashMap<>();

        Run(Random random, Execution execution, LlamaModel model, StepState step) {
            Stream stream = execution.stream();
            Composition composition = model.adapter().composition();
            composition.enableTraining(stream);
            composition.zeroGradient(stream);
            scale = 0.1 + random.nextDouble();
            double sum = 0;
            int microBatches = 1 + random.nextInt(2);
            for (int i = 0; i < microBatches; i++) {
                Labelled batch = batch(random, model.config().vocabSize());
                step.microBatch(i);
                batches.add(batch);
                masks.add(masks(stream, model.adapter(), step, batch.tokens.tokens()));
                sum += OnePass.loss(stream, step, scale,
                        training -> model.addGradients(execution, batch.tokens, batch.labels, training));
            }
            loss = sum;
            composition.backward(stream);
            try (NamedTensors found = composition.gradients(stream)) {
                found.asMap().forEach((name, tensor) -> gradients.put(name, tensor.toFloats()));
            }
        }

        /** Sequences of random lengths with arbitrary labels, some ignored. */
        private static Labelled batch(Random random, int vocab) {
            List<int[]> sequences = new ArrayList<>();
            List<int[]> allLabels = new ArrayList<>();
            int size = 1 + random.nextInt(3);
            for (int row = 0; row < size; row++) {
                int length = (row == 0 ? 2 : 1) + random.nextInt(8);
                int[] ids = random.ints(length, 0, vocab).toArray();
                int[] labels = random.ints(length, 0, vocab).map(id -> random.nextInt(4) == 0 ? -100 : id).toArray();
                labels[1 % length] = ids[0]; // at least one that counts
                sequences.add(ids);
                allLabels.add(labels);
            }
            return new Labelled(TokenBatch.of(sequences), TokenBatch.pack(allLabels));
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

    /** Without dropout, with the adapter and without it. */
    private static void checkEvaluation(String what, Labelled batch, Execution execution, LlamaModel model,
            ReferenceLlama llama, ReferenceAdapter adapter) {
        Adapter attached = model.adapter();
        for (Map<String, ReferenceLlama.Branch> branches : List.of(adapter.branches(Map.of()),
                Map.<String, ReferenceLlama.Branch>of())) {
            model.attach(branches.isEmpty() ? null : attached);
            double expected = llama.lossSum(batch.tokens, batch.labels, branches);
            double found = model.lossSum(execution, batch.tokens, batch.labels);
            note("evaluation loss", Math.abs(found - expected) / expected);
            assertEquals(expected, found, LOSS_TOLERANCE * expected, what);
        }
        model.attach(attached);
    }

    private static void note(String kind, double error) {
        WORST.merge(kind, error, Math::max);
    }

    private static void checkTraining(String what, Run run, ReferenceLlama llama, ReferenceAdapter adapter,
            Random random) {
        DoubleSupplier referenceLoss = () -> {
            double sum = 0;
            for (int i = 0; i < run.batches.size(); i++) {
                Labelled batch = run.batches.get(i);
                sum += llama.lossSum(batch.tokens, batch.labels, adapter.branches(run.masks.get(i)));
            }
            return sum;
        };
        double expectedLoss = referenceLoss.getAsDouble();
        note("loss", Math.abs(run.loss - expectedLoss) / expectedLoss);
        assertEquals(expectedLoss, run.loss, LOSS_TOLERANCE * expectedLoss, what);
        assertEquals(adapter.parameters().keySet(), run.gradients.keySet(), what);

        // Kinds of parameters: bank, logits, LoRA's A, LoRA's B.
        Map<String, double[]> worst = new LinkedHashMap<>();
        adapter.parameters().forEach((name, values) -> {
            float[] found = run.gradients.get(name);
            assertEquals(values.length, found.length, what);
            String kind = name.substring(name.lastIndexOf("ora_") + 4);
            double[] record = worst.computeIfAbsent(kind, k -> new double[2]);
            int elements = name.equals(ReferenceAdapter.BANK) ? values.length : Math.min(12, values.length);
            for (int element : random.ints(0, values.length).distinct().limit(elements).toArray()) {
                if (!adapter.isUsed(name, element)) {
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
            for (int element : IntStream.range(0, values.length).filter(i -> !adapter.isUsed(name, i)).toArray()) {
                assertEquals(0, found[element], 0, what);
            }
        });
        worst.forEach((kind, record) -> {
            note(kind, record[0] == 0 ? 0 : record[0] / record[1]);
            assertTrue(record[0] <= GRADIENT_TOLERANCE * record[1],
                    () -> what + ": " + kind + " differs by " + record[0] + " of " + record[1]);
        });
    }
}
