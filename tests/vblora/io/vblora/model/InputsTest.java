package io.vblora.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.vblora.kernels.Arena;
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
                Pass pass = new Pass(stream, arena, null, null, tensors);
                assertArrayEquals(ids, pass.input(ints).toInts());
                assertEquals(-1.25f, pass.input(scalar).getFloat(0));
                assertArrayEquals(features, pass.input(floats).toFloats());
                assertArrayEquals(new long[] {n, 2}, pass.input(floats).shape());
                arena.release(0);
            }
        }
    }
}
