package io.vblora.adapter.methods.vblora;

import static io.vblora.kernels.global.vblora.VBL_OUT_OF_MEMORY;
import static io.vblora.kernels.global.vblora.vbl_allocated_bytes;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.InputException;
import io.vblora.adapter.AdaptedModule;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.Composition;
import io.vblora.adapter.ModuleShape;
import io.vblora.adapter.WithStream;
import io.vblora.adapter.methods.lora.LoraConfig;
import io.vblora.adapter.peft.PeftKeys;
import io.vblora.kernels.DType;
import io.vblora.kernels.Graph;
import io.vblora.kernels.KernelException;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.Tensors;
import io.vblora.kernels.TestDevice;
import io.vblora.kernels.ops.ClippedStep;
import io.vblora.kernels.ops.GradientNorm;
import io.vblora.kernels.ops.Memory;
import io.vblora.kernels.ops.StepState;
import io.vblora.optimizer.adamw.AdamW;
import io.vblora.optimizer.adamw.AdamWRun;
import io.vblora.parameters.ParameterGroup;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@TestDevice.OnAny
class CompositionTest extends WithStream {
    private static final List<ModuleShape> MODEL =
            List.of(new ModuleShape("a", 8, 12), new ModuleShape("b", 4, 20), new ModuleShape("c", 16, 4));

    @TempDir
    private Path folder;

    private static VbLoraConfig config(int numVectors, int topk) {
        return VbLoraConfig.builder().targetModules("all-linear").r(3).vectorLength(4).numVectors(numVectors).topk(topk)
                .initVectorBankBound(1).initLogitsStd(0.5).build();
    }

    private static float[] randomFloats(Random random, long n) {
        float[] values = new float[Math.toIntExact(n)];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    /**
     * The sum of cotangent times packed, composed in float64 from PEFT's tensors by the definition (arXiv 2405.15179).
     */
    private static double loss(VbLoraConfig config, Map<String, double[]> parameters, float[] cotangent) {
        double[] bank = parameters.get(VbLoraKeys.VECTOR_BANK);
        int b = config.vectorLength();
        int r = config.r();
        double sum = 0;
        int offset = 0;
        for (ModuleShape module : MODEL) {
            for (String name : List.of(VbLoraKeys.logitsA(module.path()), VbLoraKeys.logitsB(module.path()))) {
                boolean isA = name.endsWith("A");
                int size = (int) (isA ? module.inFeatures() : module.outFeatures());
                for (int i = 0; i < r; i++) {
                    for (int t = 0; t < size / b; t++) {
                        int row = isA ? i * (size / b) + t : t * r + i;
                        double[] u = mix(config, parameters.get(name), row, bank);
                        for (int j = 0; j < b; j++) {
                            sum += u[j] * cotangent[offset + i * size + t * b + j];
                        }
                    }
                }
                offset += r * size;
            }
        }
        return sum;
    }

    private static double[] mix(VbLoraConfig config, double[] logits, int row, double[] bank) {
        int h = config.numVectors();
        List<Integer> best = IntStream.range(0, h).boxed()
                .sorted((x, y) -> Double.compare(logits[row * h + y], logits[row * h + x])).limit(config.topk())
                .toList();
        double total = best.stream().mapToDouble(s -> Math.exp(logits[row * h + s])).sum();
        double[] u = new double[config.vectorLength()];
        for (int s : best) {
            for (int j = 0; j < u.length; j++) {
                u[j] += Math.exp(logits[row * h + s]) / total * bank[s * u.length + j];
            }
        }
        return u;
    }

    @Test
    void gradientsAreThoseOfCentralDifferences() {
        for (long seed = 0; seed < 8; seed++) {
            Random random = new Random(seed);
            int h = 2 + random.nextInt(8);
            VbLoraConfig config = config(h, 1 + random.nextInt(Math.min(h, 4)));
            try (Adapter adapter = Adapter.create(config, MODEL, stream, seed)) {
                Composition composition = adapter.composition();
                composition.enableTraining(stream);
                float[] cotangent = randomFloats(random, composition.packed().elements());
                composition.zeroGradient(stream);
                composition.packedGradient().copyFrom(cotangent);
                composition.backward(stream);
                Map<String, float[]> gradients = numbers(composition.gradients(stream));
                Map<String, double[]> parameters = new HashMap<>();
                numbers(composition.parameters(stream)).forEach((name, values) -> parameters.put(name,
                        IntStream.range(0, values.length).mapToDouble(i -> values[i]).toArray()));
                double expectedLoss = loss(config, parameters, cotangent);
                double packedLoss = 0;
                for (int i = 0; i < cotangent.length; i++) {
                    packedLoss += (double) cotangent[i] * composition.packed().getFloat(i);
                }
                String message = "seed " + seed + " " + config;
                assertEquals(expectedLoss, packedLoss, 1e-5, message);
                for (String name : parameters.keySet()) {
                    double[] values = parameters.get(name);
                    for (int trial = 0; trial < 20; trial++) {
                        int i = random.nextInt(values.length);
                        double kept = values[i];
                        double step = 1e-6;
                        values[i] = kept + step;
                        double up = loss(config, parameters, cotangent);
                        values[i] = kept - step;
                        double down = loss(config, parameters, cotangent);
                        values[i] = kept;
                        // Float32 sums of some tens of numbers of size 1.
                        assertEquals((up - down) / (2 * step), gradients.get(name)[i], 2e-5, message + " " + name + " "
                                + i);
                    }
                }
            }
        }
    }

    private VbLoraComposition composition(VbLoraConfig config) {
        VbLoraComposition composition = new VbLoraComposition(TestDevice.DEVICE, config, MODEL, true, config.source());
        composition.initialize(config, 11, stream);
        return composition;
    }

    private void step(Composition composition, AdamWRun run, long number, float[] gradient) {
        composition.zeroGradient(stream);
        composition.packedGradient().copyFrom(gradient);
        update(run, number);
    }

    private static void update(AdamWRun run, long number) {
        run.step(number, CompositionTest::learningRate);
    }

    private static double learningRate(ParameterGroup group) {
        return group.equals(VbLoraMethod.LOGITS) ? 5e-2 : group.equals(VbLoraMethod.VECTOR_BANK) ? 1e-3 : 1e-2;
    }

    /**
     * The active sets begin with room for topk entries, so that they grow several times, and are reloaded in between.
     */
    @Test
    void activeSetsTrainAsDenseLogitsDoBitForBit() {
        VbLoraConfig config = config(40, 2);
        Random random = new Random(3);
        try (VbLoraComposition dense = composition(config); VbLoraComposition active = composition(config);
                AdamWRun denseRun = AdamWRun.dense(stream, dense);
                AdamWRun activeRun = AdamWRun.growing(stream, active)) {
            Map<String, float[]> before = numbers(dense.parameters(stream));
            for (int number = 1; number <= 300; number++) {
                float[] gradient = randomFloats(random, dense.packed().elements());
                step(dense, denseRun, number, gradient);
                step(active, activeRun, number, gradient);
                assertArrayEquals(dense.packed().toFloats(), active.packed().toFloats(), "step " + number);
                assertArrayEquals(dense.indices().toInts(), active.indices().toInts(), "step " + number);
                if (number % 100 == 0) {
                    assertSameBits(numbers(dense.parameters(stream)), numbers(active.parameters(stream)),
                            "step " + number);
                    try (AdamWRun.Copies d = denseRun.moments(); AdamWRun.Copies a = activeRun.moments()) {
                        assertSameBits(d.numbers(), a.numbers(), "step " + number);
                    }
                }
                if (number == 150) {
                    reload(activeRun);
                }
            }
            assertEquals(dense.version(), active.version());
            float[] first = before.get(VbLoraKeys.logitsA("a"));
            float[] last = numbers(dense.parameters(stream)).get(VbLoraKeys.logitsA("a"));
            long moved = IntStream.range(0, first.length).filter(i -> first[i] != last[i]).count();
            assertTrue(moved > 2 * config.topk() * first.length / 40, "entries that moved: " + moved);
            dense.verify(stream);
            active.verify(stream);
        }
    }

    /**
     * No step waits for the one before, so that a device may be many behind when the active sets have to grow: then the
     * count that they grow by is one of steps ago.
     */
    @Test
    void activeSetsGrowWhileTheDeviceIsBehind() {
        VbLoraConfig config = config(40, 2);
        Random random = new Random(12);
        try (VbLoraComposition dense = composition(config); VbLoraComposition active = composition(config);
                AdamWRun denseRun = AdamWRun.dense(stream, dense);
                AdamWRun activeRun = AdamWRun.growing(stream, active);
                Tensors memory = new Tensors(TestDevice.DEVICE)) {
            List<Tensor> gradients = IntStream.range(0, 7).mapToObj(i -> memory.allocate(DType.FLOAT32,
                    dense.packed().elements()).copyFrom(randomFloats(random, dense.packed().elements()))).toList();
            for (Composition composition : List.of(dense, active)) {
                for (int number = 1; number <= 100; number++) {
                    Memory.copy(stream, gradients.get(number % gradients.size()), composition.packedGradient());
                    update(composition == dense ? denseRun : activeRun, number);
                }
            }
            assertArrayEquals(dense.indices().toInts(), active.indices().toInts());
            assertSameBits(numbers(dense.parameters(stream)), numbers(active.parameters(stream)), "parameters");
        }
    }

    /**
     * Preparations and notes of the host happen once a step, and the ops are given to the stream or, where the device
     * can capture them, replayed from a graph of the first step's. The active sets have room for all entries, since
     * captured ops use the memory that they were captured with.
     */
    @Test
    void updatesReplayedFromAGraphLoseNothing() {
        VbLoraConfig config = config(40, 2);
        Random random = new Random(14);
        for (boolean activeSets : List.of(true, false)) {
            try (VbLoraComposition plain = composition(config); VbLoraComposition replayed = composition(config);
                    AdamWRun plainRun = AdamWRun.growing(stream, plain);
                    AdamWRun replayedRun = activeSets ? AdamWRun.active(stream, replayed, 40)
                            : AdamWRun.dense(stream, replayed)) {
                Graph graph = null;
                try {
                    for (int number = 1; number <= 60; number++) {
                        float[] gradient = randomFloats(random, plain.packed().elements());
                        step(plain, plainRun, number, gradient);
                        replayed.packedGradient().copyFrom(gradient);
                        replayedRun.begin(number, CompositionTest::learningRate);
                        long version = replayed.version();
                        if (number == 1 || TestDevice.DEVICE.isCpu()) {
                            replayed.backward(stream);
                            replayedRun.giveOps();
                        } else {
                            if (graph == null) {
                                graph = Graph.capture(stream, () -> {
                                    replayed.backward(stream);
                                    replayedRun.giveOps();
                                });
                            }
                            graph.launch(stream);
                        }
                        assertEquals(version, replayed.version());
                        replayedRun.note();
                        assertEquals(version + 1, replayed.version());
                        assertArrayEquals(plain.packed().toFloats(), replayed.packed().toFloats(), "step " + number);
                    }
                } finally {
                    if (graph != null) {
                        graph.close();
                    }
                }
                assertSameBits(numbers(plain.parameters(stream)), numbers(replayed.parameters(stream)), "parameters");
                try (AdamWRun.Copies p = plainRun.moments(); AdamWRun.Copies r = replayedRun.moments()) {
                    assertSameBits(p.numbers(), r.numbers(), "moments");
                }
            }
        }
    }

    /** The moments that there are, taken and given back: nothing is lost. */
    private void reload(AdamWRun run) {
        try (AdamWRun.Copies moments = run.moments()) {
            Map<String, Tensor> incomplete = new HashMap<>(moments.expAvgSq().asMap());
            String missing = incomplete.keySet().iterator().next();
            incomplete.remove(missing);
            InputException e = assertThrows(InputException.class,
                    () -> run.load(moments.expAvg().asMap(), incomplete));
            assertEquals(missing, e.field());
            run.load(moments.expAvg().asMap(), moments.expAvgSq().asMap());
        }
    }

    /** Whatever trained, the matrices in memory are those of the adapter on disk. */
    @Test
    void packedEqualsAFreshlyLoadedAdapterAfterAnyStep() {
        VbLoraConfig vbLora = config(AdamW.ACTIVE_SET_NUM_VECTORS, 3);
        LoraConfig lora = LoraConfig.builder().targetModules("all-linear").r(2).build();
        Random random = new Random(8);
        for (AdapterConfig config : List.of(vbLora, lora)) {
            try (Adapter adapter = Adapter.create(config, MODEL, stream, 4);
                    AdamWRun step = AdamWRun.of(stream, 0, adapter.composition())) {
                Composition composition = adapter.composition();
                for (int number = 1; number <= 3; number++) {
                    float[] before = composition.packed().toFloats();
                    long version = composition.version();
                    step(composition, step, number, randomFloats(random, composition.packed().elements()));
                    assertEquals(version + 1, composition.version());
                    assertNotEquals(before[0], composition.packed().getFloat(0));
                    adapter.save(folder, false, stream);
                    try (Adapter loaded = Adapter.load(folder, stream)) {
                        assertArrayEquals(composition.packed().toFloats(), loaded.composition().packed().toFloats());
                    }
                }
            }
        }
    }

    @Test
    void addsTheSquaresOfAllGradients() {
        for (AdapterConfig config : List.of(config(9, 2), LoraConfig.builder().targetModules("all-linear").build())) {
            try (Adapter adapter = Adapter.create(config, MODEL, stream, 1);
                    Tensor sum = Tensor.allocate(TestDevice.DEVICE, DType.FLOAT64, 1);
                    StepState step = new StepState(TestDevice.DEVICE)) {
                Composition composition = adapter.composition();
                composition.enableTraining(stream);
                composition.packedGradient().copyFrom(randomFloats(new Random(2), composition.packed().elements()));
                composition.backward(stream);
                composition.sumSquares(stream, sum);
                double expected = 0;
                for (float[] gradient : numbers(composition.gradients(stream)).values()) {
                    for (float g : gradient) {
                        expected += (double) g * g;
                    }
                }
                assertEquals(expected, sum.toDoubles()[0], 1e-9 * expected);
                step.upload(stream);
                GradientNorm.clip(stream, sum, 0.5f, step);
                assertEquals(Math.sqrt(expected), ClippedStep.gradientNorm(stream, step), 1e-6 * Math.sqrt(expected));
            }
        }
    }

    @Test
    void loraUpdatesItsMatricesAsAdamWDoes() {
        LoraConfig config = LoraConfig.builder().targetModules("all-linear").r(2).build();
        Random random = new Random(6);
        try (Adapter adapter = Adapter.create(config, MODEL, stream, 4);
                AdamWRun run = AdamWRun.of(stream, 0.1, adapter.composition())) {
            Composition composition = adapter.composition();
            Map<String, float[]> before = numbers(composition.parameters(stream));
            composition.packedGradient().copyFrom(randomFloats(random, composition.packed().elements()));
            composition.backward(stream);
            Map<String, float[]> gradients = numbers(composition.gradients(stream));
            run.begin(1, group -> 0.01);
            run.update();
            // The first step of AdamW: p (1 - lr decay) - lr g / (|g| + eps).
            numbers(composition.parameters(stream)).forEach((name, values) -> {
                for (int i = 0; i < values.length; i++) {
                    double g = gradients.get(name)[i];
                    assertEquals(before.get(name)[i] * (1 - 0.001) - 0.01 * g / (Math.abs(g) + 1e-8), values[i], 1e-6,
                            name);
                }
            });
            Map<String, float[]> moments;
            try (AdamWRun.Copies m = run.moments()) {
                moments = m.numbers();
                assertArrayEquals(new long[] {12, 2}, m.expAvg().get(PeftKeys.of("a", PeftKeys.LORA_B)).shape());
            }
            reload(run);
            try (AdamWRun.Copies m = run.moments()) {
                assertSameBits(moments, m.numbers(), "reloaded");
            }
        }
    }

    @Test
    void modulesSeeTheGradientOfTheTrainingThatRuns() {
        for (AdapterConfig config : List.of(config(9, 2), LoraConfig.builder().targetModules("all-linear").build())) {
            try (Adapter adapter = Adapter.create(config, MODEL, stream, 1)) {
                Composition composition = adapter.composition();
                AdaptedModule last = adapter.modules().get(2);
                for (int training = 0; training < 2; training++) {
                    composition.enableTraining(stream);
                    last.da().setFloat(0, 2);
                    last.dbt().setFloat(0, 3);
                    long end = composition.packed().elements();
                    long b = end - last.dbt().elements();
                    assertEquals(2, composition.packedGradient().getFloat(b - last.da().elements()));
                    assertEquals(3, composition.packedGradient().getFloat(b));
                    composition.zeroGradient(stream);
                    assertEquals(0, last.da().getFloat(0));
                }
            }
        }
    }

    @Test
    void refusesToTrainOnAnInfiniteLogit() {
        try (VbLoraComposition composition = composition(config(9, 2))) {
            composition.logits().setFloat(composition.logits().elements() - 1, Float.NEGATIVE_INFINITY);
            InputException e = assertThrows(InputException.class, () -> composition.enableTraining(stream));
            assertEquals(VbLoraKeys.logitsB("c"), e.field());
            assertThrows(IllegalStateException.class, composition::packedGradient);
        }
    }

    /** The bank is the second allocation: 2^24 vectors of 2^24 floats, beyond any address space. */
    @Test
    void leavesNothingWhereMemoryIsShort() {
        VbLoraConfig huge = VbLoraConfig.builder().targetModules("all-linear").r(1).vectorLength(1 << 24)
                .numVectors(1 << 24).topk(1).build();
        long before = vbl_allocated_bytes();
        KernelException e = assertThrows(KernelException.class, () -> new VbLoraComposition(TestDevice.DEVICE, huge,
                List.of(new ModuleShape("a", 1 << 24, 1 << 24)), true, huge.source()));
        assertEquals(VBL_OUT_OF_MEMORY, e.status());
        assertEquals(before, vbl_allocated_bytes());
    }

    @Test
    void verifyNamesWhatBecameNaN() {
        try (VbLoraComposition composition = composition(config(9, 2));
                AdamWRun step = AdamWRun.of(stream, 0, composition)) {
            float[] gradient = new float[(int) composition.packed().elements()];
            // Row 0 of B of module "a" begins after A's 3 rows of 8.
            gradient[3 * 8] = Float.NaN;
            step(composition, step, 1, gradient);
            InputException e = assertThrows(InputException.class, () -> composition.verify(stream));
            assertEquals(VbLoraKeys.logitsB("a"), e.field());
        }
    }
}
