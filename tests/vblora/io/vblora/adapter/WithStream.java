package io.vblora.adapter;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.TestDevice;
import io.vblora.kernels.ops.Memory;
import io.vblora.parameters.NamedTensors;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;

/** Tests that each have a stream of the tests' device; what they do with an adapter's tensors. */
public abstract class WithStream {
    protected Stream stream;

    @BeforeEach
    protected void openStream() {
        stream = TestDevice.stream();
    }

    @AfterEach
    protected void closeStream() {
        stream.close();
    }

    /** All tensors, copied; closes them. */
    public static Map<String, float[]> numbers(NamedTensors tensors) {
        try (tensors) {
            Map<String, float[]> numbers = new LinkedHashMap<>();
            tensors.asMap().forEach((name, tensor) -> numbers.put(name, tensor.toFloats()));
            return numbers;
        }
    }

    /** A float32 CPU tensor's numbers in a 16-bit type, on the CPU. */
    protected static Tensor narrow(Tensor wide, DType dtype) {
        Tensor narrow = Tensor.allocate(Device.CPU, dtype, wide.shape());
        try (Stream cpu = Stream.cpu(1)) {
            Memory.convert(cpu, wide, narrow);
        }
        return narrow;
    }

    public static void assertSameBits(Map<String, float[]> expected, Map<String, float[]> found, String message) {
        assertEquals(expected.keySet(), found.keySet(), message);
        expected.forEach((name, values) -> {
            float[] other = found.get(name);
            assertEquals(values.length, other.length, () -> message + " " + name);
            for (int i = 0; i < values.length; i++) {
                int at = i;
                assertEquals(Float.floatToRawIntBits(values[i]), Float.floatToRawIntBits(other[i]),
                        () -> message + " " + name + " " + at + ": " + values[at] + ", " + other[at]);
            }
        });
    }
}
