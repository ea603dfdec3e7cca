package io.vblora.parameters;

import io.vblora.InputException;
import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import java.nio.DoubleBuffer;
import java.nio.FloatBuffer;
import java.util.function.DoubleSupplier;

/** Loops on the host over float32 tensors of any size on any device. */
public final class FloatTensors {
    private static final long CHUNK = 1 << 20;

    private FloatTensors() {}

    private interface Loop {
        void run(long first, FloatBuffer values);
    }

    /** Runs a loop over all elements, in host memory. {@code writes} says whether the loop sets them. */
    private static void chunks(Tensor tensor, boolean writes, Loop loop) {
        for (long first = 0; first < tensor.elements(); first += CHUNK) {
            int n = (int) Math.min(CHUNK, tensor.elements() - first);
            if (tensor.device().isCpu()) {
                loop.run(first, floats(tensor, first, n));
                continue;
            }
            Tensor chunk = tensor.view(first, n);
            try (Tensor staging = Tensor.allocate(Device.CPU, DType.FLOAT32, n).copyFrom(chunk)) {
                loop.run(first, floats(staging, 0, n));
                if (writes) {
                    chunk.copyFrom(staging);
                }
            }
        }
    }

    private static FloatBuffer floats(Tensor tensor, long first, int n) {
        return tensor.buffer(first * Float.BYTES, n * Float.BYTES).asFloatBuffer();
    }

    /** Sets every element, in order. */
    public static void fill(Tensor tensor, DoubleSupplier value) {
        chunks(tensor, true, (first, values) -> {
            while (values.hasRemaining()) {
                values.put((float) value.getAsDouble());
            }
        });
    }

    /**
     * Requires finite elements, once the stream has written them.
     *
     * @throws InputException naming the parameter and the first element that is not finite
     */
    public static void requireFinite(Stream stream, String source, String name, Tensor tensor) {
        stream.synchronize();
        requireFinite(source, name, tensor);
    }

    /** {@link #requireFinite(Stream, String, String, Tensor)} for elements that no stream is writing. */
    public static void requireFinite(String source, String name, Tensor tensor) {
        long found = firstNotFinite(tensor);
        if (found >= 0) {
            throw notFinite(source, name, tensor, found, found);
        }
    }

    /** The first element that is not finite, or -1. */
    static long firstNotFinite(Tensor tensor) {
        long[] found = {-1};
        chunks(tensor, false, (first, values) -> {
            for (int i = 0; found[0] < 0 && i < values.limit(); i++) {
                if (!Float.isFinite(values.get(i))) {
                    found[0] = first + i;
                }
            }
        });
        return found[0];
    }

    /** @param element the number that messages give the element {@code found} */
    static InputException notFinite(String source, String name, Tensor tensor, long found, long element) {
        float[] value = new float[1];
        chunks(tensor.view(found, 1), false, (first, values) -> value[0] = values.get(0));
        return new InputException(source, name, value[0] + " at element " + element, "finite numbers");
    }

    /** Converts to float64 on the CPU. */
    public static void widen(Tensor source, Tensor destination) {
        chunks(source, false, (first, values) -> {
            DoubleBuffer to = destination.buffer(first * Double.BYTES, values.limit() * Double.BYTES).asDoubleBuffer();
            while (values.hasRemaining()) {
                to.put(values.get());
            }
        });
    }

    /** Writes source [rows, columns], transposed, to destination [columns, rows]. */
    public static void transpose(Tensor source, Tensor destination) {
        int rows = Math.toIntExact(source.dimension(0));
        int columns = Math.toIntExact(source.dimension(1));
        float[] from = source.toFloats();
        float[] to = new float[from.length];
        for (int i = 0; i < rows; i++) {
            for (int j = 0; j < columns; j++) {
                to[j * rows + i] = from[i * columns + j];
            }
        }
        destination.copyFrom(to);
    }
}
