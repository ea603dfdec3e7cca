package io.vblora.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.vblora.kernels.Arena;
import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Numbers of several types reach the device in one block, whose memory larger and smaller ones use again. */
class InputsTest {
    @Test
    void everyInputArrives() {
        try (Stream stream = Stream.cpu(1); Staging staging = new Staging(Device.CPU);
                Arena arena = Arena.on(Device.CPU)) {
            arena.reserve(1 << 20);
            for (int n : new int[] {1, 1000, 17}) {
                int[] ids = new int[n];
                float[] features = new float[2 * n];
                for (int i = 0; i < n; i++) {
                    ids[i] = n - i;
                    features[2 * i] = 0.5f * i;
                }
                Inputs inputs = new Inputs();
                Inputs.Place ints = inputs.ints(ids);
                Inputs.Place scalar = inputs.scalar(-1.25f);
                Inputs.Place floats = inputs.floats(features, n, 2);
                List<Tensor> tensors = inputs.take(arena);
                inputs.upload(stream, staging, tensors);
                Pass pass = new Pass(stream, arena, null, false, null, tensors, null);
                assertArrayEquals(ids, pass.input(ints).toInts());
                assertEquals(-1.25f, pass.input(scalar).getFloat(0));
                assertArrayEquals(features, pass.input(floats).toFloats());
                assertArrayEquals(new long[] {n, 2}, pass.input(floats).shape());
                arena.release(0);
            }
        }
    }

    @Test
    void valuesHaveToFillTheirShape() {
        Inputs inputs = new Inputs();
        for (int n : new int[] {5, 7}) {
            IllegalArgumentException e = assertThrows(IllegalArgumentException.class,
                    () -> inputs.floats(new float[n], 3, 2));
            assertEquals(n + " values do not fill the shape [3, 2]", e.getMessage());
        }
    }

    @Test
    void anUploadThatFailsLeavesNothingBehind() {
        try (Stream stream = Stream.cpu(1); Staging staging = new Staging(Device.CPU);
                Tensor to = Tensor.allocate(Device.CPU, DType.UINT8, 4)) {
            assertThrows(IllegalStateException.class, () -> staging.upload(stream, 4, to, buffer -> {
                throw new IllegalStateException("of the writer");
            }));
            staging.upload(stream, 4, to, buffer -> buffer.put(new byte[] {1, 2, 3, 4}));
            assertEquals(0x04030201, to.buffer(0, 4).getInt());
        }
    }
}
