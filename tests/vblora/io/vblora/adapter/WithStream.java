package io.vblora.adapter;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.vblora.kernels.Stream;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;

/** Tests that each have a CPU stream of two threads; what they do with an adapter's tensors. */
abstract class WithStream {
    Stream stream;

    @BeforeEach
    void openStream() {
        stream = Stream.cpu(2);
    }

    @AfterEach
    void closeStream() {
        stream.close();
    }

    /** All tensors, copied; closes them. */
    static Map<String, float[]> numbers(NamedTensors tensors) {
        try (tensors) {
            Map<String, float[]> numbers = new LinkedHashMap<>();
            tensors.asMap().forEach((name, tensor) -> numbers.put(name, tensor.toFloats()));
            return numbers;
        }
    }

    static void assertSameBits(Map<String, float[]> expected, Map<String, float[]> found, String message) {
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
