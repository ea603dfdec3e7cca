package io.vblora.kernels.ops;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.KernelException;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.TestDevice;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** A layer from two features to three, rank 1, scaling ½, two tokens; expected numbers found by hand, all exact. */
@TestDevice.OnAny
class LowRankTest {
    private static final float[] DELTA = {1, 0.5f, 0, 0, -2, -1};
    private static final float[] TRANSPOSED_DELTA = {1, 0, -2, 0.5f, 0, -1};

    private final List<AutoCloseable> open = new ArrayList<>();
    private final Stream stream = own(TestDevice.stream());
    private final LowRank lowRank = LowRank.ofLayer(2, 3, 1, 0, 0, 0.5f);
    private final LowRankUpdate update = new LowRankUpdate(2, 3, 1, 0.5f, false);
    private final LowRankUpdate transposed = new LowRankUpdate(2, 3, 1, 0.5f, true);
    private final Tensor x = floats(1, 2, 3, -1);
    private final Tensor a = floats(2, 1);
    private final Tensor bt = floats(1, 0, -2);
    private final Tensor p = floats(9, 9);
    private final Tensor y = floats(1, 1, 1, 0, 0, 0);
    private final Tensor dy = floats(1, 1, 0, 0, 2, 1);
    private final Tensor q = floats(9, 9);
    private final Tensor dx = floats(0, 0, 1, 1);
    private final Tensor da = floats(1, 1);
    private final Tensor dbt = floats(0, 0, 1);
    private final Tensor scratch = own(TestDevice.zeros(DType.UINT8,
            lowRank.backwardScratchBytes(stream, 2, DType.FLOAT32, DType.FLOAT32)));
    private final Tensor wrong = floats(1);

    @AfterEach
    void close() throws Exception {
        for (AutoCloseable c : open) {
            c.close();
        }
    }

    @Test
    void goesForwardAndBackward() {
        lowRank.forward(stream, null, 0, 2, x, of(a, bt), p, y);
        assertArrayEquals(new float[] {4, 5}, p.toFloats());
        assertArrayEquals(new float[] {3, 1, -3, 2.5f, 0, -5}, y.toFloats());

        lowRank.backward(stream, null, 0, 2, x, dy, of(a, bt), p, q, dx, of(da, dbt), scratch);
        assertArrayEquals(new float[] {0.5f, -1}, q.toFloats());
        assertArrayEquals(new float[] {1, 0.5f, -1, 0}, dx.toFloats());
        assertArrayEquals(new float[] {-1.5f, 3}, da.toFloats());
        assertArrayEquals(new float[] {2, 7, 3.5f}, dbt.toFloats());
    }

    @Test
    void leavesOutTheGradientOfX() {
        lowRank.forward(stream, null, 0, 2, x, of(a, bt), p, y);
        lowRank.backward(stream, null, 0, 2, x, dy, of(a, bt), p, q, null, of(da, dbt), scratch);
        assertArrayEquals(new float[] {-1.5f, 3}, da.toFloats());
        assertArrayEquals(new float[] {2, 7, 3.5f}, dbt.toFloats());
    }

    /** Two such layers beside a column that neither has, the second with twice the factors. */
    @Test
    void takesMembersInOneGo() {
        LowRank group = new LowRank(2, 7, 0, List.of(new LowRank.Member(4, 3, 1, 0, 0.5f),
                new LowRank.Member(0, 3, 1, 1, 0.5f)));
        assertEquals(2, group.totalRank());
        Tensor twiceA = floats(4, 2);
        Tensor twiceBt = floats(2, 0, -4);
        List<LowRank.Factors> factors = List.of(new LowRank.Factors(a, bt), new LowRank.Factors(twiceA, twiceBt));
        Tensor ps = floats(9, 9, 9, 9);
        Tensor ys = floats(0, 0, 0, 7, 1, 1, 1, 0, 0, 0, 7, 0, 0, 0);
        group.forward(stream, null, 0, 2, x, factors, ps, ys);
        assertArrayEquals(new float[] {4, 5, 8, 10}, ps.toFloats());
        assertArrayEquals(new float[] {8, 0, -16, 7, 3, 1, -3, 10, 0, -20, 7, 2.5f, 0, -5}, ys.toFloats());

        Tensor dys = floats(1, 1, 0, 7, 1, 1, 0, 0, 2, 1, 7, 0, 2, 1);
        Tensor qs = floats(9, 9, 9, 9);
        Tensor twiceDa = floats(0, 0);
        Tensor twiceDbt = floats(0, 0, 0);
        group.backward(stream, null, 0, 2, x, dys, factors, ps, qs, dx,
                List.of(new LowRank.Factors(da, dbt), new LowRank.Factors(twiceDa, twiceDbt)), own(TestDevice.zeros(
                        DType.UINT8, group.backwardScratchBytes(stream, 2, DType.FLOAT32, DType.FLOAT32))));
        assertArrayEquals(new float[] {0.5f, -1, 1, -2}, qs.toFloats());
        assertArrayEquals(new float[] {5, 2.5f, -9, -4}, dx.toFloats());
        assertArrayEquals(new float[] {-1.5f, 3}, da.toFloats());
        assertArrayEquals(new float[] {2, 7, 3.5f}, dbt.toFloats());
        assertArrayEquals(new float[] {-5, 4}, twiceDa.toFloats());
        assertArrayEquals(new float[] {4, 14, 5}, twiceDbt.toFloats());
    }

    @Test
    void refusesGroupsThatItCannotTake() {
        LowRank.Member member = new LowRank.Member(0, 3, 1, 0, 1);
        refused("members", () -> new LowRank(2, 3, 0, List.of()));
        refused("members", () -> new LowRank(2, 3, 0, Collections.nCopies(LowRank.MAX_MEMBERS + 1, member)));
        refused("members", () -> new LowRank(2, 2, 0, List.of(member)));
        refused("members", () -> new LowRank(2, 3, 0, List.of(new LowRank.Member(1, 3, 1, 0, 1))));
        refused("members", () -> new LowRank(2, 3, 0, List.of(new LowRank.Member(-1, 3, 1, 0, 1))));
        LowRank pair = new LowRank(2, 6, 0, List.of(member, new LowRank.Member(3, 3, 1, 0, 1)));
        Tensor twoP = floats(9, 9, 9, 9);
        Tensor twoY = own(TestDevice.zeros(DType.FLOAT32, 2, 6));
        LowRank.Factors factors = new LowRank.Factors(a, bt);
        refused("factors", () -> pair.forward(stream, null, 0, 2, x, of(a, bt), twoP, twoY));
        refused("a", () -> pair.forward(stream, null, 0, 2, x,
                List.of(factors, new LowRank.Factors(converted(a, DType.FLOAT16), bt)), twoP, twoY));
        refused("reduced", () -> pair.forward(stream, null, 0, 2, x, List.of(factors, factors), p, twoY));
        refused("y", () -> pair.forward(stream, null, 0, 2, x, List.of(factors, factors), twoP, y));
        refused("gradients", () -> pair.backward(stream, null, 0, 2, x, twoY, List.of(factors, factors), twoP, twoP, dx,
                of(da, dbt), scratch));
    }

    @Test
    void takesHalfPrecisionOnCudaAlone() {
        Tensor xs = converted(x, DType.BFLOAT16);
        Tensor as = converted(a, DType.FLOAT16);
        Tensor bts = converted(bt, DType.FLOAT16);
        Tensor ys = converted(y, DType.BFLOAT16);
        Executable forward = () -> lowRank.forward(stream, null, 0, 2, xs, of(as, bts), p, ys);
        if (TestDevice.DEVICE.isCpu()) {
            KernelException e = assertThrows(KernelException.class, forward);
            assertTrue(e.getMessage().contains("on the CPU dtype and factor_dtype must be float32"), e.getMessage());
            return;
        }
        lowRank.forward(stream, null, 0, 2, xs, of(as, bts), p, ys);
        assertArrayEquals(new float[] {4, 5}, p.toFloats());
        assertArrayEquals(new float[] {3, 1, -3, 2.5f, 0, -5}, converted(ys, DType.FLOAT32).toFloats());
        Tensor dxs = converted(dx, DType.BFLOAT16);
        lowRank.backward(stream, null, 0, 2, xs, converted(dy, DType.BFLOAT16), of(as, bts), p, q, dxs,
                of(da, dbt),
                own(TestDevice.zeros(DType.UINT8,
                        lowRank.backwardScratchBytes(stream, 2, DType.BFLOAT16, DType.FLOAT16))));
        assertArrayEquals(new float[] {1, 0.5f, -1, 0}, converted(dxs, DType.FLOAT32).toFloats());
        assertArrayEquals(new float[] {-1.5f, 3}, da.toFloats());
    }

    @Test
    void givesTheDeltaInBothOrientations() {
        Tensor delta = floats(9, 9, 9, 9, 9, 9);
        update.delta(stream, a, bt, delta);
        assertArrayEquals(DELTA, delta.toFloats());
        transposed.delta(stream, a, bt, delta);
        assertArrayEquals(TRANSPOSED_DELTA, delta.toFloats());
    }

    @Test
    void mergesInTheTypeOfTheWeight() {
        for (DType dtype : new DType[] {DType.FLOAT32, DType.BFLOAT16, DType.FLOAT16}) {
            for (boolean fanInFanOut : new boolean[] {false, true}) {
                Tensor weight = converted(floats(3, 3, 3, 3, 3, 3), dtype);
                (fanInFanOut ? transposed : update).merge(stream, a, bt, weight);
                float[] merged = converted(weight, DType.FLOAT32).toFloats();
                for (int i = 0; i < 6; i++) {
                    assertEquals(3 + (fanInFanOut ? TRANSPOSED_DELTA : DELTA)[i], merged[i]);
                }
                (fanInFanOut ? transposed : update).unmerge(stream, a, bt, weight);
                assertArrayEquals(new float[] {3, 3, 3, 3, 3, 3}, converted(weight, DType.FLOAT32).toFloats());
            }
        }
    }

    /** What is drawn is tested natively; here that the keys arrive, and that pieces draw what the whole does. */
    @Test
    void drawsTheMaskOfTheStep() {
        try (StepState step = new StepState(TestDevice.DEVICE, 4); StepState host = new StepState(Device.CPU, 4);
                Stream cpu = Stream.cpu(1); Tensor expected = Tensor.allocate(Device.CPU, DType.FLOAT32, 50, 2)) {
            LowRank dropped = LowRank.ofLayer(2, 3, 1, 7, 0.5f, 1);
            Tensor mask = own(TestDevice.zeros(DType.FLOAT32, 50, 2));
            Tensor tail = own(TestDevice.zeros(DType.FLOAT32, 20, 2));
            float[] last = new float[100];
            step.seed(11).upload(stream);
            host.seed(11).upload(cpu);
            for (int microBatch : new int[] {0, 3}) {
                step.microBatch(microBatch);
                host.microBatch(microBatch);
                dropped.dropoutMask(cpu, host, 0, 0, 50, expected);
                dropped.dropoutMask(stream, step, 0, 0, 50, mask);
                dropped.dropoutMask(stream, step, 0, 30, 20, tail);
                float[] drawn = mask.toFloats();
                assertArrayEquals(expected.toFloats(), drawn);
                assertArrayEquals(mask.view(60, 20, 2).toFloats(), tail.toFloats());
                assertFalse(Arrays.equals(last, drawn));
                last = drawn;
            }
            step.step(2).upload(stream); // begins with the first micro-batch
            host.step(2).microBatch(0).upload(cpu);
            dropped.dropoutMask(cpu, host, 0, 0, 50, expected);
            dropped.dropoutMask(stream, step, 0, 0, 50, mask);
            assertArrayEquals(expected.toFloats(), mask.toFloats());
        }
    }

    @Test
    void refusesWrongTensors() {
        refused("x", () -> lowRank.forward(stream, null, 0, 2, wrong, of(a, bt), p, y));
        refused("a", () -> lowRank.forward(stream, null, 0, 2, x, of(wrong, bt), p, y));
        refused("bt", () -> lowRank.forward(stream, null, 0, 2, x, of(a, wrong), p, y));
        refused("bt", () -> lowRank.forward(stream, null, 0, 2, x, of(a, converted(bt, DType.FLOAT16)), p, y));
        refused("reduced", () -> lowRank.forward(stream, null, 0, 2, x, of(a, bt), wrong, y));
        refused("y", () -> lowRank.forward(stream, null, 0, 2, x, of(a, bt), p, wrong));
        refused("y", () -> lowRank.forward(stream, null, 0, 2, x, of(a, bt), p, converted(y, DType.BFLOAT16)));
        refused("x", () -> backward(wrong, dy, a, p, q, dx, da, dbt, scratch));
        refused("dy", () -> backward(x, wrong, a, p, q, dx, da, dbt, scratch));
        refused("a", () -> backward(x, dy, wrong, p, q, dx, da, dbt, scratch));
        refused("reduced", () -> backward(x, dy, a, wrong, q, dx, da, dbt, scratch));
        refused("dreduced", () -> backward(x, dy, a, p, wrong, dx, da, dbt, scratch));
        refused("dx", () -> backward(x, dy, a, p, q, wrong, da, dbt, scratch));
        refused("da", () -> backward(x, dy, a, p, q, dx, wrong, dbt, scratch));
        refused("dbt", () -> backward(x, dy, a, p, q, dx, da, wrong, scratch));
        if (scratch.bytes() > 4) {
            refused("scratch", () -> backward(x, dy, a, p, q, dx, da, dbt, wrong));
        }
        refused("mask", () -> lowRank.dropoutMask(stream, null, 0, 0, 2, wrong));
        refused("delta", () -> update.delta(stream, a, bt, wrong));
        refused("weight", () -> update.merge(stream, a, bt, wrong));
        refused("a", () -> update.unmerge(stream, wrong, bt, y));
    }

    private static List<LowRank.Factors> of(Tensor a, Tensor bt) {
        return List.of(new LowRank.Factors(a, bt));
    }

    private void backward(Tensor x, Tensor dy, Tensor a, Tensor p, Tensor q, Tensor dx, Tensor da, Tensor dbt,
            Tensor scratch) {
        lowRank.backward(stream, null, 0, 2, x, dy, of(a, bt), p, q, dx, of(da, dbt), scratch);
    }

    private static void refused(String name, Executable call) {
        IllegalArgumentException e = assertThrows(IllegalArgumentException.class, call);
        assertTrue(e.getMessage().startsWith(name + ":"), e.getMessage());
    }

    @Test
    void onlyChecksWhilePlanning() {
        Stream planning = stream.planning();
        lowRank.forward(planning, null, 0, 2, x, of(a, bt), p, y);
        lowRank.backward(planning, null, 0, 2, x, dy, of(a, bt), p, q, dx, of(da, dbt), scratch);
        update.merge(planning, a, bt, y);
        assertArrayEquals(new float[] {9, 9}, p.toFloats());
        assertArrayEquals(new float[] {1, 1, 1, 0, 0, 0}, y.toFloats());
        assertArrayEquals(new float[] {1, 1}, da.toFloats());
    }

    private Tensor floats(float... values) {
        return own(TestDevice.of(values, values.length));
    }

    private Tensor converted(Tensor tensor, DType dtype) {
        Tensor to = own(TestDevice.zeros(dtype, tensor.shape()));
        Memory.convert(stream, tensor, to);
        return to;
    }

    private <T extends AutoCloseable> T own(T closeable) {
        open.add(closeable);
        return closeable;
    }
}
