package io.vblora.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.Golden;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.Composition;
import io.vblora.blas.Blas;
import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.TestDevice;
import io.vblora.kernels.ops.ClippedStep;
import io.vblora.kernels.ops.GradientNorm;
import io.vblora.kernels.ops.Memory;
import io.vblora.model.Execution;
import io.vblora.model.LlamaModel;
import io.vblora.model.OnePass;
import io.vblora.model.TokenBatch;
import io.vblora.optimizer.adamw.AdamWRun;
import io.vblora.parameters.NamedTensors;
import io.vblora.parameters.ParameterGroup;
import io.vblora.weights.SafetensorsFile;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/**
 * Training steps with the adapter on the tests' device while the model runs on the CPU: composing, differentiating,
 * clipping, AdamW with the next selection, over dense logits and over active sets that grow. Another adapter does the
 * same on the CPU, densely, and says what is expected.
 */
@TestDevice.OnAny
class DeviceTrainingTest {
    private static final String RUN = "traj/tinyrand_b16/";
    private static final int STEPS = 3;
    private static final int BATCH = 4;
    private static final int TOKENS = 64;
    /** The adapter's num_vectors and topk. */
    private static final int NUM_VECTORS = 64;
    private static final int TOPK = 2;

    /** An adapter with all that an optimizer step needs. */
    private static final class Side implements AutoCloseable {
        final Stream stream;
        final Adapter adapter;
        final Composition composition;
        final AdamWRun adamW;
        final Tensor squares;

        Side(Stream stream, boolean activeSets) {
            this.stream = stream;
            adapter = Adapter.load(Golden.own(RUN + "adapter_init"), stream);
            composition = adapter.composition();
            adamW = activeSets ? AdamWRun.growing(stream, composition) : AdamWRun.of(stream, 0, composition);
            squares = Tensor.allocate(stream.device(), DType.FLOAT64, 1);
        }

        /** From the gradient of A and B to the next A and B; returns the gradient's norm. */
        double update(int number) {
            adamW.begin(number, ParameterGroup::defaultLearningRate);
            composition.backward(stream);
            Memory.zero(stream, squares);
            composition.sumSquares(stream, squares);
            GradientNorm.clip(stream, squares, 0.5f, adamW.step());
            adamW.update();
            composition.verify(stream);
            return ClippedStep.gradientNorm(stream, adamW.step());
        }

        @Override
        public void close() {
            squares.close();
            adamW.close();
            adapter.close();
        }
    }

    @Test
    void stepsOnTheDeviceAreTheCpus() {
        try (Stream cpu = Stream.cpu(2); Stream other = TestDevice.stream();
                Execution execution = new Execution(cpu, Blas.on(Device.CPU));
                LlamaModel model = LlamaModel.load(Golden.own("models/tinyrand"), null, cpu);
                Side expected = new Side(cpu, false); Side found = new Side(other, false);
                Side active = new Side(other, true);
                // The model reads A and B, and adds to their gradients, in the CPU's memory.
                Side mirror = new Side(cpu, false)) {
            model.attach(mirror.adapter);
            for (int number = 1; number <= STEPS; number++) {
                int[] ids = batch(number - 1);
                mirror.composition.packed().copyFrom(found.composition.packed());
                mirror.composition.zeroGradient(cpu);
                int[] starts = IntStream.rangeClosed(0, BATCH).map(row -> row * TOKENS).toArray();
                OnePass.loss(cpu, 1.0 / (BATCH * (TOKENS - 1)), training -> model.addGradients(execution,
                        new TokenBatch(starts, ids, null), ids, training));
                found.composition.packedGradient().copyFrom(mirror.composition.packedGradient());
                expected.composition.packedGradient().copyFrom(mirror.composition.packedGradient());
                active.composition.packedGradient().copyFrom(mirror.composition.packedGradient());
                double norm = expected.update(number);
                double foundNorm = found.update(number);
                assertEquals(norm, foundNorm, 1e-7 * norm, "gradient norm of step " + number);
                assertEquals(foundNorm, active.update(number), "gradient norm of step " + number);
                assertNear(expected.composition.packed(), found.composition.packed(), "A and B after step " + number);
                assertArrayEquals(found.composition.packed().toFloats(), active.composition.packed().toFloats(),
                        "A and B after step " + number);
            }
            assertNear(expected, found);
            assertSame(found, active);
            int entries = entriesOfTheFullestRow(expected);
            assertTrue(entries > TOPK, "entries that an active set had to hold: " + entries);
        }
    }

    /** A logit that was selected has moments from then on, and an active set an entry. */
    private static int entriesOfTheFullestRow(Side side) {
        int most = 0;
        try (AdamWRun.Copies moments = side.adamW.moments()) {
            for (Tensor logits : moments.expAvg().asMap().values()) {
                // The bank's are [NUM_VECTORS, vector_length], logits' [dimension, dimension, NUM_VECTORS].
                if (logits.rank() == 3) {
                    int[] entries = new int[(int) (logits.elements() / NUM_VECTORS)];
                    float[] expAvg = logits.toFloats();
                    for (int i = 0; i < expAvg.length; i++) {
                        entries[i / NUM_VECTORS] += expAvg[i] != 0 ? 1 : 0;
                    }
                    most = Math.max(most, Arrays.stream(entries).max().orElseThrow());
                }
            }
        }
        return most;
    }

    /** Dense logits and active sets on one device: bit for bit. */
    private static void assertSame(Side dense, Side active) {
        try (NamedTensors d = dense.composition.parameters(dense.stream);
                NamedTensors a = active.composition.parameters(active.stream)) {
            assertSame(d, a, "");
        }
        try (AdamWRun.Copies d = dense.adamW.moments(); AdamWRun.Copies a = active.adamW.moments()) {
            assertSame(d.expAvg(), a.expAvg(), "exp_avg of ");
            assertSame(d.expAvgSq(), a.expAvgSq(), "exp_avg_sq of ");
        }
    }

    private static void assertSame(NamedTensors dense, NamedTensors active, String what) {
        assertEquals(dense.asMap().keySet(), active.asMap().keySet());
        dense.asMap().forEach(
                (name, tensor) -> assertArrayEquals(tensor.toFloats(), active.get(name).toFloats(), what + name));
    }

    private static void assertNear(Side expected, Side found) {
        try (NamedTensors e = expected.composition.parameters(expected.stream);
                NamedTensors f = found.composition.parameters(found.stream)) {
            e.asMap().forEach((name, tensor) -> assertNear(tensor, f.get(name), name));
        }
        try (AdamWRun.Copies e = expected.adamW.moments(); AdamWRun.Copies f = found.adamW.moments()) {
            e.expAvg().asMap().forEach(
                    (name, tensor) -> assertNear(tensor, f.expAvg().get(name), "exp_avg of " + name));
            e.expAvgSq().asMap().forEach(
                    (name, tensor) -> assertNear(tensor, f.expAvgSq().get(name), "exp_avg_sq of " + name));
        }
    }

    /**
     * Devices sum float64 in different orders and round once, so that a float32 result may now and then be its
     * neighbour: within 2^-22 of the largest magnitude.
     */
    private static void assertNear(Tensor expected, Tensor found, String what) {
        float[] e = expected.toFloats();
        double largest = 0;
        for (float value : e) {
            largest = Math.max(largest, Math.abs(value));
        }
        assertArrayEquals(e, found.toFloats(), (float) (largest * 0x1p-22), what);
    }

    /** input_ids of a batch. */
    private static int[] batch(int number) {
        try (SafetensorsFile file = SafetensorsFile.open(Golden.own(RUN + "batches.safetensors"));
                Tensor all = file.read("input_ids")) {
            int length = BATCH * TOKENS;
            return Arrays.copyOfRange(all.toInts(), number * length, (number + 1) * length);
        }
    }
}
