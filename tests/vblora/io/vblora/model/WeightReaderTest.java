package io.vblora.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.vblora.InputException;
import io.vblora.adapter.ModuleShape;
import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.TestDevice;
import io.vblora.kernels.ops.Memory;
import io.vblora.weights.SafetensorsWriter;
import io.vblora.weights.WeightSource;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Weights come to lie on the device of the stream, in the type asked for. */
@TestDevice.OnAny
class WeightReaderTest {
    /** Numbers that bfloat16 holds exactly. */
    private static final float[] VALUES = {1, -2.5f, 0.125f, 96, 0, -0.75f};

    private final List<Tensor> owned = new ArrayList<>();

    @TempDir
    Path folder;

    private Tensor read(WeightSource source, DType dtype, Stream stream) {
        Tensor tensor = WeightReader.load(source, dtype, stream, reader -> {
            Tensor read = reader.matrix("weight", 2, 3);
            assertEquals(List.of(read), reader.tensors());
            return read;
        });
        owned.add(tensor);
        return tensor;
    }

    @Test
    void weightsLieOnTheStreamsDevice() {
        Path file = folder.resolve("model.safetensors");
        try (Tensor tensor = Tensor.of(VALUES, 2, 3)) {
            new SafetensorsWriter().add("weight", tensor).write(file);
        }
        try (Stream stream = TestDevice.stream(); WeightSource source = WeightSource.open(file);
                Tensor widened = Tensor.allocate(TestDevice.DEVICE, DType.FLOAT32, 2, 3)) {
            Tensor stored = read(source, null, stream);
            Tensor converted = read(source, DType.BFLOAT16, stream);
            for (Tensor tensor : owned) {
                assertEquals(TestDevice.DEVICE, tensor.device());
                assertArrayEquals(new long[] {2, 3}, tensor.shape());
            }
            assertArrayEquals(VALUES, stored.toFloats());
            assertEquals(DType.BFLOAT16, converted.dtype());
            Memory.convert(stream, converted, widened);
            stream.synchronize();
            assertArrayEquals(VALUES, widened.toFloats());
        } finally {
            owned.forEach(Tensor::close);
        }
    }

    @Test
    void aConv1dIsReadAsItIsStored() {
        Path file = folder.resolve("model.safetensors");
        try (Tensor weight = Tensor.of(VALUES, 2, 3); Tensor bias = Tensor.of(new float[] {4, 5, 6}, 3)) {
            new SafetensorsWriter().add("c_attn.weight", weight).add("c_attn.bias", bias).write(file);
        }
        try (Stream stream = TestDevice.stream(); WeightSource source = WeightSource.open(file)) {
            Linear linear = WeightReader.load(source, null, stream, reader -> {
                Linear read = reader.conv1d("c_attn", 2, 3);
                owned.addAll(reader.tensors());
                return read;
            });
            assertEquals(new ModuleShape("c_attn", 2, 3, true), linear.shape());
            assertArrayEquals(VALUES, linear.weight().base().toFloats());
            assertArrayEquals(new float[] {4, 5, 6}, linear.bias().base().toFloats());
            assertThrows(InputException.class, () -> WeightReader.load(source, null, stream,
                    reader -> reader.conv1d("c_attn", 3, 2)));
        } finally {
            owned.forEach(Tensor::close);
        }
    }

    /** Whatever the types are, each has its own values; and of one type they lie one after the other. */
    @Test
    void matricesOfAGroupLieTogether() {
        Path file = folder.resolve("model.safetensors");
        try (Tensor first = Tensor.of(VALUES, 2, 3); Tensor second = Tensor.of(new float[] {4, 5, 6}, 1, 3);
                Tensor narrow = Tensor.allocate(Device.CPU, DType.BFLOAT16, 1, 3);
                Stream cpu = Stream.cpu(1)) {
            Memory.convert(cpu, second, narrow);
            new SafetensorsWriter().add("first", first).add("second", second).add("narrow", narrow).write(file);
        }
        try (Stream stream = TestDevice.stream(); WeightSource source = WeightSource.open(file)) {
            assertJoined(source, null, stream, "second", true);
            assertJoined(source, DType.BFLOAT16, stream, "narrow", true);
            assertJoined(source, DType.FLOAT32, stream, "narrow", true);
            assertJoined(source, null, stream, "narrow", false);
        }
    }

    private static void assertJoined(WeightSource source, DType dtype, Stream stream, String other, boolean joined) {
        List<Tensor> all = new ArrayList<>();
        try {
            List<Tensor> found = WeightReader.load(source, dtype, stream, reader -> {
                WeightReader.Matrices read = reader.matrices(List.of("first", other), new long[] {2, 1}, 3);
                all.addAll(reader.tensors());
                assertEquals(joined, read.joint() != null);
                return read.each();
            });
            assertEquals(joined ? 1 : 2, all.size());
            float[][] expected = {VALUES, {4, 5, 6}};
            for (int i = 0; i < 2; i++) {
                try (Tensor widened = Tensor.allocate(TestDevice.DEVICE, DType.FLOAT32, found.get(i).shape())) {
                    Memory.convert(stream, found.get(i), widened);
                    stream.synchronize();
                    assertArrayEquals(expected[i], widened.toFloats(), other + " as " + dtype);
                }
            }
            assertEquals(joined, found.get(0).pointer().address() + found.get(0).bytes()
                    == found.get(1).pointer().address());
        } finally {
            all.forEach(Tensor::close);
        }
    }
}
