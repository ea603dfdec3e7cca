package io.vblora.model;

import io.vblora.kernels.Arena;
import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.LongStream;

/** The numbers that the host gives to a pass. They lie in one block of the device's memory, which one copy fills. */
public final class Inputs {
    private final List<Input> all = new ArrayList<>();

    /** Where a pass has an input. */
    public record Place(int index) {}

    /** @param writer writes the numbers at a buffer's position */
    private record Input(DType dtype, long[] shape, Consumer<ByteBuffer> writer) {}

    /** Adds int32 values, of which there is at least one; the array is not copied. */
    public Place ints(int[] values) {
        return add(new Input(DType.INT32, new long[] {values.length}, to -> to.asIntBuffer().put(values)));
    }

    /** Adds float32 values, of which there is at least one; the array is not copied. */
    public Place floats(float[] values, long... shape) {
        long elements = LongStream.of(shape).reduce(1, Math::multiplyExact);
        if (values.length != elements) {
            throw new IllegalArgumentException(values.length + " values do not fill the shape "
                    + Arrays.toString(shape));
        }
        return add(new Input(DType.FLOAT32, shape, to -> to.asFloatBuffer().put(values)));
    }

    /** Adds one float32 value. */
    public Place scalar(float value) {
        return floats(new float[] {value}, 1);
    }

    private Place add(Input input) {
        all.add(input);
        return new Place(all.size() - 1);
    }

    /** Takes the inputs' tensors from an arena, one after the other. */
    List<Tensor> take(Arena arena) {
        return all.stream().map(input -> arena.take(input.dtype, input.shape)).toList();
    }

    /** Fills tensors that {@link #take} gave. */
    void upload(Stream stream, Staging staging, List<Tensor> tensors) {
        Tensor last = tensors.get(tensors.size() - 1);
        long bytes = offset(tensors, last) + last.bytes();
        staging.upload(stream, bytes, tensors.get(0), buffer -> {
            for (int i = 0; i < tensors.size(); i++) {
                buffer.position(Math.toIntExact(offset(tensors, tensors.get(i))));
                all.get(i).writer.accept(buffer.slice().order(buffer.order()));
            }
        });
    }

    private static long offset(List<Tensor> tensors, Tensor tensor) {
        return tensor.pointer().address() - tensors.get(0).pointer().address();
    }
}
