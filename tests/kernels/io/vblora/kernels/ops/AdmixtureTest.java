package io.vblora.kernels.ops;

import static io.vblora.kernels.global.vblora.VBL_INVALID_ARGUMENT;
import static io.vblora.kernels.global.vblora.VBL_UNSUPPORTED;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.kernels.DType;
import io.vblora.kernels.KernelException;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.TestDevice;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** Two sub-vectors of two numbers, mixed from a bank of three vectors; expected numbers worked out by hand. */
@TestDevice.OnAny
class AdmixtureTest {
    private static final float LN3 = (float) Math.log(3);

    private final Stream stream = TestDevice.stream();
    private final Tensor slots = TestDevice.of(new int[] {1, 0}, 2);
    private final AdmixtureShape shape = new AdmixtureShape(2, 3, 2, 2, slots);
    private final Tensor logits = TestDevice.of(new float[] {0, LN3, -5, 1, 1, 0}, 2, 3);
    private final Tensor bank = TestDevice.of(new float[] {1, 2, 3, 4, 5, 6}, 3, 2);
    private final Tensor indices = Tensor.allocate(TestDevice.DEVICE, DType.INT32, 2, 2);
    private final Tensor weights = Tensor.allocate(TestDevice.DEVICE, DType.FLOAT32, 2, 2);
    private final Tensor badRow = Tensor.allocate(TestDevice.DEVICE, DType.INT64, 1);
    private final Tensor packed = Tensor.allocate(TestDevice.DEVICE, DType.FLOAT32, 4);
    private final Tensor dpacked = TestDevice.of(new float[] {1, 0, 0, 1}, 4);
    private final Tensor dlogits = Tensor.allocate(TestDevice.DEVICE, DType.FLOAT32, 2, 2);
    private final Tensor dbank = Tensor.allocate(TestDevice.DEVICE, DType.FLOAT32, 3, 2);
    private final Tensor scratch =
            Tensor.allocate(TestDevice.DEVICE, DType.UINT8, Admixture.backwardScratchBytes(stream, shape));
    private final Tensor small = Tensor.allocate(TestDevice.DEVICE, DType.FLOAT32, 1);

    @AfterEach
    void close() {
        for (AutoCloseable c : new AutoCloseable[] {slots, logits, bank, indices, weights, badRow, packed, dpacked,
            dlogits, dbank, scratch, small, stream}) {
            try {
                c.close();
            } catch (Exception e) {
                throw new AssertionError(e);
            }
        }
    }

    @Test
    void scratchOfAShapeThatTheOpRefusesIsAnError() {
        scratchIsRefused(new AdmixtureShape(1, (1 << 24) + 1, 1, 1, null), VBL_INVALID_ARGUMENT, "found 16777217");
        if (!TestDevice.DEVICE.isCpu()) {
            scratchIsRefused(new AdmixtureShape(1L << 30, 2, 1, 2, null), VBL_UNSUPPORTED,
                    "rows · topk must be at most 2147483647");
        }
    }

    private void scratchIsRefused(AdmixtureShape shape, int status, String message) {
        KernelException e = assertThrows(KernelException.class, () -> Admixture.backwardScratchBytes(stream, shape));
        assertEquals(status, e.status());
        assertTrue(e.getMessage().contains(message), e::getMessage);
    }

    @Test
    void selectsComposesAndDifferentiates() {
        Admixture.select(stream, shape, logits, indices, weights, badRow);
        assertArrayEquals(new int[] {1, 0, 0, 1}, indices.toInts());
        assertArrayEquals(new float[] {0.75f, 0.25f, 0.5f, 0.5f}, weights.toFloats(), 1e-7f);
        assertEquals(-1, badRow.getLong(0));

        Admixture.compose(stream, shape, bank, indices, weights, packed);
        assertArrayEquals(new float[] {2, 3, 2.5f, 3.5f}, packed.toFloats(), 1e-6f);

        Admixture.backward(stream, shape, bank, indices, weights, dpacked, dlogits, dbank, scratch);
        assertArrayEquals(new float[] {0.375f, -0.375f, -0.5f, 0.5f}, dlogits.toFloats(), 1e-6f);
        assertArrayEquals(new float[] {0.5f, 0.25f, 0.5f, 0.75f, 0, 0}, dbank.toFloats(), 1e-6f);
    }

    @Test
    void composesInHalfPrecision() {
        Admixture.select(stream, shape, logits, indices, weights, badRow);
        try (Tensor half = Tensor.allocate(TestDevice.DEVICE, DType.BFLOAT16, 4)) {
            Admixture.compose(stream, shape, bank, indices, weights, half);
            Memory.convert(stream, half, packed);
            assertArrayEquals(new float[] {2, 3, 2.5f, 3.5f}, packed.toFloats());
        }
    }

    @Test
    void reportsARowWithoutNumbers() {
        logits.setFloat(4, Float.NaN);
        Admixture.select(stream, shape, logits, indices, weights, badRow);
        assertEquals(1, badRow.getLong(0));
    }

    @Test
    void refusesWrongTensors() {
        refused("logits", () -> Admixture.select(stream, shape, small, indices, weights, badRow));
        refused("indices", () -> Admixture.select(stream, shape, logits, weights, weights, badRow));
        refused("weights", () -> Admixture.select(stream, shape, logits, indices, small, badRow));
        refused("badRow", () -> Admixture.select(stream, shape, logits, indices, weights, small));
        refused("bank", () -> Admixture.compose(stream, shape, small, indices, weights, packed));
        refused("packed", () -> Admixture.compose(stream, shape, bank, indices, weights, indices));
        refused("dpacked",
                () -> Admixture.backward(stream, shape, bank, indices, weights, small, dlogits, dbank, scratch));
        refused("dlogits",
                () -> Admixture.backward(stream, shape, bank, indices, weights, dpacked, small, dbank, scratch));
        refused("dbank",
                () -> Admixture.backward(stream, shape, bank, indices, weights, dpacked, dlogits, small, scratch));
        refused("scratch",
                () -> Admixture.backward(stream, shape, bank, indices, weights, dpacked, dlogits, dbank, small));
        assertThrows(IllegalArgumentException.class, () -> new AdmixtureShape(1, 3, 2, 4, null));
        assertThrows(IllegalArgumentException.class, () -> new AdmixtureShape(0, 3, 2, 2, null));
        assertThrows(IllegalArgumentException.class, () -> new AdmixtureShape(1L << 31, 3, 2, 2, null));
        AdmixtureShape wrongSlots = new AdmixtureShape(2, 3, 2, 2, small);
        refused("slots", () -> Admixture.select(stream, wrongSlots, logits, indices, weights, badRow));
    }

    private static void refused(String name, Executable call) {
        IllegalArgumentException e = assertThrows(IllegalArgumentException.class, call);
        assertTrue(e.getMessage().startsWith(name + ":"), e.getMessage());
    }

    @Test
    void onlyChecksWhilePlanning() {
        Stream planning = stream.planning();
        Admixture.select(planning, shape, logits, indices, weights, badRow);
        Admixture.compose(planning, shape, bank, indices, weights, packed);
        Admixture.backward(planning, shape, bank, indices, weights, dpacked, dlogits, dbank, scratch);
        assertArrayEquals(new float[4], weights.toFloats());
        assertArrayEquals(new float[4], packed.toFloats());
        assertArrayEquals(new float[6], dbank.toFloats());
        refused("logits", () -> Admixture.select(planning, shape, small, indices, weights, badRow));
    }
}
