package io.vblora.kernels.ops;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.KernelException;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.TestDevice;
import io.vblora.kernels.global.vblora;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

@TestDevice.OnAny
class AdamWOpsTest {
    private final List<AutoCloseable> owned = new ArrayList<>();
    private final Stream stream = own(TestDevice.stream());
    private final StepState step = own(new StepState(TestDevice.DEVICE));
    private final AdamWGroups groups = own(new AdamWGroups(TestDevice.DEVICE, 6));
    private final Tensor sum = zeros(DType.FLOAT64, 1);

    private <T extends AutoCloseable> T own(T closeable) {
        owned.add(0, closeable);
        return closeable;
    }

    private Tensor floats(float... values) {
        return own(TestDevice.of(values, values.length));
    }

    private Tensor zeros(DType dtype, long... shape) {
        return own(Tensor.allocate(TestDevice.DEVICE, dtype, shape));
    }

    @AfterEach
    void close() throws Exception {
        for (AutoCloseable closeable : owned) {
            closeable.close();
        }
    }

    private Tensor scratch(long n) {
        return zeros(DType.UINT8, GradientNorm.sumSquaresScratchBytes(stream, n));
    }

    /** Gradients 3 and 4 have norm 5; clipped to norm 2 and updated once by AdamW's formula. */
    @Test
    void clipsAndUpdates() {
        Tensor parameter = floats(1, -1);
        Tensor gradient = floats(3, 4);
        Tensor expAvg = zeros(DType.FLOAT32, 2);
        Tensor expAvgSq = zeros(DType.FLOAT32, 2);
        groups.set(3, 1, 0.1, 0.9, 0.99, 1e-8, 0.5).upload(stream);
        GradientNorm.sumSquares(stream, gradient, sum, scratch(2));
        assertEquals(25, sum.toDoubles()[0]);
        GradientNorm.clip(stream, sum, 2, step);
        assertEquals(5, ClippedStep.gradientNorm(stream, step));
        AdamWOps.adamw(stream, step, groups, 3, parameter, gradient, expAvg, expAvgSq);
        // Clip factor 2 / (5 + 1e-6): gradients 1.2 and 1.6. Decay 1 - 0.1 · 0.5; the first step moves by the rate.
        assertArrayEquals(new float[] {0.12f, 0.16f}, expAvg.toFloats(), 1e-6f);
        assertArrayEquals(new float[] {0.0144f, 0.0256f}, expAvgSq.toFloats(), 1e-6f);
        assertArrayEquals(new float[] {0.95f - 0.1f, -0.95f - 0.1f}, parameter.toFloats(), 1e-6f);

        // The next step begins unclipped, and halves the gradients first.
        step.step(2).gradientScale(0.5f).upload(stream);
        groups.set(3, 2, 0, 0, 0, 1e-8, 0).upload(stream);
        AdamWOps.adamw(stream, step, groups, 3, parameter, gradient, expAvg, expAvgSq);
        assertArrayEquals(new float[] {1.5f, 2}, expAvg.toFloats(), 1e-6f);
        GradientNorm.clip(stream, sum, 0, step);
        assertEquals(2.5f, ClippedStep.gradientNorm(stream, step));
    }

    @Test
    void refusesWrongTensorsAndGroups() {
        Tensor three = zeros(DType.FLOAT32, 3);
        Tensor two = zeros(DType.FLOAT32, 2);
        refused("gradient", () -> AdamWOps.adamw(stream, step, groups, 0, three, two, three, three));
        refused("expAvg", () -> AdamWOps.adamw(stream, step, groups, 0, three, three, two, three));
        refused("expAvgSq", () -> AdamWOps.adamw(stream, step, groups, 0, three, three, three, sum));
        refused("parameter", () -> AdamWOps.adamw(stream, step, groups, 0, sum, three, three, three));
        refused("group", () -> AdamWOps.adamw(stream, step, groups, 6, three, three, three, three));
        refused("group", () -> groups.set(-1, 1, 0, 0, 0, 1, 0));
        refused("sum", () -> GradientNorm.sumSquares(stream, three, two, scratch(3)));
        refused("sum", () -> GradientNorm.clip(stream, two, 1, step));
        refused("scratch", () -> GradientNorm.sumSquares(stream, zeros(DType.FLOAT32, 1 << 20), sum, two));
        assertThrows(IllegalArgumentException.class, () -> step.step(0));
        assertThrows(IllegalArgumentException.class, () -> step.microBatch(-1));
        assertThrows(IllegalArgumentException.class, () -> step.microBatch(1));
        assertThrows(IllegalArgumentException.class, () -> new StepState(TestDevice.DEVICE, 0));
        assertThrows(IllegalArgumentException.class, () -> new StepState(TestDevice.DEVICE, (1 << 16) + 1));
        assertThrows(KernelException.class, () -> groups.set(0, 1, -1, 0.9, 0.999, 1e-8, 0));
        assertThrows(KernelException.class, () -> groups.set(0, 1, 1, 1, 0.999, 1e-8, 0));
        assertThrows(KernelException.class, () -> groups.set(0, 0, 1, 0.9, 0.999, 1e-8, 0));
        refused("groups", () -> new AdamWGroups(TestDevice.DEVICE, 0));
    }

    /** Whose memory the ops of this device cannot read. */
    @Test
    void refusesStepsAndGroupsOfAnotherDevice() {
        Assumptions.assumeFalse(TestDevice.DEVICE.isCpu(), "needs a device beside the CPU");
        AdmixtureShape shape = new AdmixtureShape(1, 4, 1, 1, null);
        Tensor one = floats(0);
        Tensor four = floats(4, 3, 2, 1);
        Tensor indices = own(TestDevice.of(new int[] {0}, 1));
        Tensor badRow = zeros(DType.INT64, 1);
        Tensor scratch = zeros(DType.UINT8, AdamWOps.activeScratchBytes(stream, shape));
        ActiveSet active = own(new ActiveSet(TestDevice.DEVICE, shape, 2, 1));
        StepState onCpu = own(new StepState(Device.CPU));
        AdamWGroups groupsOnCpu = own(new AdamWGroups(Device.CPU, 1));
        Stream cpu = own(Stream.cpu(1));
        refused("step", () -> onCpu.upload(stream));
        refused("step", () -> step.upload(cpu));
        refused("step", () -> GradientNorm.clip(stream, sum, 1, onCpu));
        refused("step", () -> AdamWOps.adamw(stream, onCpu, groups, 0, one, one, one, one));
        refused("step", () -> AdamWOps.adamwSelect(stream, shape, onCpu, groups, 0, four, one, four, four, indices,
                one, badRow));
        refused("step", () -> AdamWOps.adamwActiveSelect(stream, shape, active, onCpu, groups, 0, four, one, indices,
                one, badRow, scratch));
        refused("step", () -> LowRank.ofLayer(1, 1, 1, 0, 0, 1).dropoutMask(stream, onCpu, 0, 0, 1, one));
        refused("groups", () -> groupsOnCpu.upload(stream));
        refused("groups", () -> groups.upload(cpu));
        refused("groups", () -> AdamWOps.adamw(stream, step, groupsOnCpu, 0, one, one, one, one));
        refused("groups", () -> AdamWOps.adamwSelect(stream, shape, step, groupsOnCpu, 0, four, one, four, four,
                indices, one, badRow));
        refused("groups", () -> AdamWOps.adamwActiveSelect(stream, shape, active, step, groupsOnCpu, 0, four, one,
                indices, one, badRow, scratch));
    }

    private static void refused(String name, Executable call) {
        IllegalArgumentException e = assertThrows(IllegalArgumentException.class, call);
        assertTrue(e.getMessage().startsWith(name + ":"), e.getMessage());
    }

    /** One row of four logits; the second overtakes the first, which the active set and the dense form see alike. */
    @Test
    void updatesLogitsAndSelectsAgain() {
        AdmixtureShape shape = new AdmixtureShape(1, 4, 1, 2, null);
        Tensor dlogits = floats(1, -1);
        Tensor scratch = zeros(DType.UINT8, AdamWOps.activeScratchBytes(stream, shape));
        groups.set(1, 1, 0.5, 0.9, 0.999, 1e-8, 0).upload(stream);
        float[][] results = new float[2][];
        for (int form = 0; form < 2; form++) {
            Tensor logits = floats(0.9f, 0.5f, 0.2f, 0);
            Tensor indices = own(TestDevice.of(new int[] {0, 1}, 1, 2));
            Tensor weights = zeros(DType.FLOAT32, 1, 2);
            Tensor badRow = zeros(DType.INT64, 1);
            Tensor expAvg = zeros(DType.FLOAT32, 4);
            Tensor expAvgSq = zeros(DType.FLOAT32, 4);
            if (form == 0) {
                AdamWOps.adamwSelect(stream, shape, step, groups, 1, logits, dlogits, expAvg, expAvgSq, indices,
                        weights, badRow);
            } else {
                ActiveSet active = own(new ActiveSet(TestDevice.DEVICE, shape, 2, 2));
                AdamWOps.activeLoad(stream, shape, active, logits, null, null, scratch);
                AdamWOps.adamwActiveSelect(stream, shape, active, step, groups, 1, logits, dlogits, indices, weights,
                        badRow, scratch);
                assertEquals(2, active.maxCount().toInts()[0]);
                assertArrayEquals(new float[] {0.9f, 0.5f, 0.2f, 0}, logits.toFloats(), "only read");
                AdamWOps.activeStore(stream, shape, active, logits, expAvg, expAvgSq);
            }
            // The first step of AdamW moves each selected logit by the learning rate: 0.4 and 1.
            assertArrayEquals(new float[] {0.4f, 1, 0.2f, 0}, logits.toFloats(), 1e-6f);
            assertArrayEquals(new float[] {0.1f, -0.1f, 0, 0}, expAvg.toFloats(), 1e-6f);
            assertArrayEquals(new float[] {0.001f, 0.001f, 0, 0}, expAvgSq.toFloats(), 1e-6f);
            assertArrayEquals(new int[] {1, 0}, indices.toInts());
            assertEquals(1 / (1 + Math.exp(-0.6)), weights.getFloat(0), 1e-6);
            assertEquals(-1, badRow.getLong(0));
            results[form] = logits.toFloats();
        }
        assertArrayEquals(results[0], results[1]);
    }

    /** An entry that was never selected would not decay as the dense form has it. */
    @Test
    void anActiveSetRefusesWeightDecay() {
        AdmixtureShape shape = new AdmixtureShape(1, 4, 1, 1, null);
        Tensor logits = floats(1, 2, 3, 4);
        Tensor scratch = zeros(DType.UINT8, AdamWOps.activeScratchBytes(stream, shape));
        ActiveSet active = own(new ActiveSet(TestDevice.DEVICE, shape, 2, 1));
        AdamWOps.activeLoad(stream, shape, active, logits, null, null, scratch);
        Tensor indices = own(TestDevice.of(new int[] {3}, 1));
        Tensor weights = floats(1);
        Tensor badRow = zeros(DType.INT64, 1);
        Executable update = () -> AdamWOps.adamwActiveSelect(stream, shape, active, step, groups, 2, logits, floats(1),
                indices, weights, badRow, scratch);
        groups.set(2, 1, 0.1, 0.9, 0.999, 1e-8, 0.01).upload(stream);
        refused("groups", update);
        assertEquals(0, active.maxCount().toInts()[0]);
        groups.set(2, 1, 0.1, 0.9, 0.999, 1e-8, 0).upload(stream);
        assertDoesNotThrow(update);
        assertEquals(1, active.maxCount().toInts()[0]);
    }

    @Test
    void closedStatesAreRefused() {
        AdmixtureShape shape = new AdmixtureShape(1, 4, 1, 1, null);
        Tensor logits = floats(1, 2, 3, 4);
        Tensor scratch = zeros(DType.UINT8, AdamWOps.activeScratchBytes(stream, shape));
        ActiveSet open = own(new ActiveSet(TestDevice.DEVICE, shape, 2, 1));
        ActiveSet active = own(new ActiveSet(TestDevice.DEVICE, shape, 2, 1));
        AdamWOps.activeLoad(stream, shape, active, logits, null, null, scratch);
        AdamWOps.activeCopy(stream, shape, active, open);
        // Closing what it lends changes nothing.
        active.maxCount().close();
        AdamWOps.activeStore(stream, shape, active, logits, null, null);
        active.close();
        Tensor indices = own(TestDevice.of(new int[] {3}, 1));
        Tensor badRow = zeros(DType.INT64, 1);
        closed("active set", () -> AdamWOps.activeStore(stream, shape, active, logits, null, null));
        closed("active set", () -> AdamWOps.activeLoad(stream, shape, active, logits, null, null, scratch));
        closed("active set", () -> AdamWOps.activeCopy(stream, shape, active, open));
        closed("active set", () -> AdamWOps.activeCopy(stream, shape, open, active));
        closed("active set", () -> AdamWOps.adamwActiveSelect(stream, shape, active, step, groups, 0, logits,
                floats(1), indices, floats(1), badRow, scratch));
        closed("tensor", () -> active.maxCount().toInts());

        Tensor slots = own(TestDevice.of(new int[] {0}, 1));
        AdmixtureShape withSlots = new AdmixtureShape(1, 4, 1, 1, slots);
        slots.close();
        closed("tensor", () -> Admixture.select(stream, withSlots, logits, indices, floats(1), badRow));

        Tensor one = floats(1);
        groups.close();
        groups.close();
        closed("set of groups", () -> AdamWOps.adamw(stream, step, groups, 0, one, one, floats(0), floats(0)));
        closed("set of groups", () -> groups.set(0, 1, 0, 0, 0, 1, 0));
        closed("set of groups", () -> groups.upload(stream));

        AdamWGroups others = own(new AdamWGroups(TestDevice.DEVICE, 1));
        step.close();
        step.close();
        closed("step state", () -> AdamWOps.adamw(stream, step, others, 0, one, one, floats(0), floats(0)));
        closed("step state", () -> GradientNorm.clip(stream, sum, 1, step));
        closed("step state", () -> LowRank.ofLayer(1, 1, 1, 0, 0, 1).dropoutMask(stream, step, 0, 0, 1, one));
        closed("step state", () -> step.step(2));
        closed("step state", step::step);
        closed("step state", () -> step.seed(2));
        closed("step state", () -> step.microBatch(0));
        closed("step state", () -> step.gradientScale(1));
        closed("step state", step::gradientScale);
        closed("step state", () -> step.upload(stream));
    }

    /** What a new one holds is on its device already; what is set after that counts once it is uploaded. */
    @Test
    void stepsAndGroupsAreAsTheyWereUploadedLast() {
        Tensor parameter = floats(1, -1);
        Tensor gradient = floats(3, 4);
        Tensor expAvg = zeros(DType.FLOAT32, 2);
        Tensor expAvgSq = zeros(DType.FLOAT32, 2);
        AdamWOps.adamw(stream, step, groups, 0, parameter, gradient, expAvg, expAvgSq);
        // Learning rate 0, beta1 0.9, no clipping.
        assertArrayEquals(new float[] {1, -1}, parameter.toFloats());
        assertArrayEquals(new float[] {0.3f, 0.4f}, expAvg.toFloats(), 1e-7f);
        assertEquals(0, ClippedStep.gradientNorm(stream, step));

        List<Runnable> changes = List.of(() -> step.step(2), () -> step.seed(1), () -> step.gradientScale(2));
        for (Runnable change : changes) {
            change.run();
            notUploaded("step state", () -> AdamWOps.adamw(stream, step, groups, 0, parameter, gradient, expAvg,
                    expAvgSq));
            // A planning stream uploads nothing.
            step.upload(stream.planning());
            notUploaded("step state", () -> GradientNorm.clip(stream, sum, 1, step));
            notUploaded("step state",
                    () -> LowRank.ofLayer(1, 1, 1, 0, 0, 1).dropoutMask(stream, step, 0, 0, 1, floats(0)));
            step.upload(stream);
            GradientNorm.clip(stream, sum, 1, step);
        }
        groups.set(4, 1, 0.1, 0.9, 0.999, 1e-8, 0).upload(stream.planning());
        notUploaded("set of groups", () -> AdamWOps.adamw(stream, step, groups, 0, parameter, gradient, expAvg,
                expAvgSq));
        GradientNorm.clip(stream, sum, 1, step); // does not read the groups
        assertArrayEquals(new float[] {0.3f, 0.4f}, expAvg.toFloats(), 1e-7f);
    }

    /** Gradients 3 and 4 are clipped to norm 1, and a tenth of them is the first moment, whatever is chosen when. */
    @Test
    void theChosenMicroBatchMakesNoDifferenceToClippingAndUpdate() {
        StepState three = own(new StepState(TestDevice.DEVICE, 3));
        Tensor gradient = floats(3, 4);
        GradientNorm.sumSquares(stream, gradient, sum, scratch(2));
        for (int clipping = 0; clipping < 3; clipping++) {
            for (int updating = 0; updating < 3; updating++) {
                String choice = clipping + ", " + updating;
                three.step(3).upload(stream);
                assertEquals(0, ClippedStep.gradientNorm(stream, three), choice);
                GradientNorm.clip(stream, sum, 1, three.microBatch(clipping));
                Tensor expAvg = zeros(DType.FLOAT32, 2);
                AdamWOps.adamw(stream, three.microBatch(updating), groups, 0, floats(1, 1), gradient, expAvg,
                        zeros(DType.FLOAT32, 2));
                assertArrayEquals(new float[] {0.06f, 0.08f}, expAvg.toFloats(), 1e-6f, choice);
                assertEquals(5, ClippedStep.gradientNorm(stream, three), choice);
            }
        }
    }

    private static void notUploaded(String what, Executable call) {
        IllegalStateException e = assertThrows(IllegalStateException.class, call);
        assertEquals("The " + what + " was changed and not uploaded", e.getMessage());
    }

    private static void closed(String what, Executable call) {
        IllegalStateException e = assertThrows(IllegalStateException.class, call);
        assertTrue(e.getMessage().startsWith("The " + what + " is closed"), e.getMessage());
    }

    @Test
    void anActiveSetThatIsTooSmallSaysHowManyItNeeds() {
        AdmixtureShape shape = new AdmixtureShape(1, 4, 1, 1, null);
        Tensor logits = floats(1, 2, 3, 4);
        Tensor expAvg = floats(0, 0.5f, 0, -0.5f);
        Tensor expAvgSq = floats(0, 1, 0, 1);
        Tensor scratch = zeros(DType.UINT8, AdamWOps.activeScratchBytes(stream, shape));
        ActiveSet small = own(new ActiveSet(TestDevice.DEVICE, shape, 1, 1));
        overflows(() -> AdamWOps.activeLoad(stream, shape, small, logits, expAvg, expAvgSq, scratch));
        assertEquals(2, small.maxCount().toInts()[0]);
        ActiveSet enough = own(new ActiveSet(TestDevice.DEVICE, shape, 2, 1));
        AdamWOps.activeLoad(stream, shape, enough, logits, expAvg, expAvgSq, scratch);
        ActiveSet larger = own(new ActiveSet(TestDevice.DEVICE, shape, 4, 2));
        AdamWOps.activeCopy(stream, shape, enough, larger);
        Tensor copied = zeros(DType.FLOAT32, 4);
        AdamWOps.activeStore(stream, shape, larger, logits, copied, expAvgSq);
        assertArrayEquals(new float[] {0, 0.5f, 0, -0.5f}, copied.toFloats());
        overflows(() -> AdamWOps.activeCopy(stream, shape, larger, small));
        assertEquals(2, small.maxCount().toInts()[0]);

        AdmixtureShape other = new AdmixtureShape(1, 4, 1, 1, null);
        assertThrows(IllegalArgumentException.class,
                () -> AdamWOps.activeStore(stream, other, larger, logits, null, null));
        assertThrows(IllegalArgumentException.class,
                () -> AdamWOps.activeStore(stream, shape, larger, logits, copied, null));
        assertThrows(IllegalArgumentException.class, () -> new ActiveSet(TestDevice.DEVICE, shape, 5, 1));
        assertThrows(IllegalArgumentException.class, () -> new ActiveSet(TestDevice.DEVICE, shape, 2, 0));
    }

    /** What does not fit is an error on the CPU; on a CUDA stream, which cannot tell, max_count alone says so. */
    private static void overflows(Executable call) {
        if (TestDevice.DEVICE.isCpu()) {
            KernelException e = assertThrows(KernelException.class, call);
            assertEquals(vblora.VBL_CAPACITY, e.status());
        } else {
            assertDoesNotThrow(call);
        }
    }
}
