package io.vblora.weights;

import io.vblora.InputException;
import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.KernelException;
import io.vblora.kernels.NativeFile;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Memory;
import io.vblora.weights.WeightSource.Entry;
import java.nio.DoubleBuffer;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalLong;
import java.util.function.Consumer;

/** What the readers of all file formats share: opening files and filling tensors with stored bytes. */
public final class Reading {
    /** Elements converted at a time. */
    private static final long CHUNK = 1 << 20;

    private Reading() {}

    /**
     * Bytes of a tensor of this type and shape; empty if they exceed 64 bits, or would if sizes of 0 were 1, since
     * products of some of the sizes would then overflow elsewhere.
     */
    public static OptionalLong bytes(DType dtype, List<Long> shape) {
        try {
            long most = dtype.bytes();
            for (long size : shape) {
                most = Math.multiplyExact(most, Math.max(1, size));
            }
            return OptionalLong.of(shape.contains(0L) ? 0 : most);
        } catch (ArithmeticException e) {
            return OptionalLong.empty();
        }
    }

    /** Where the bytes of a tensor lie. */
    @FunctionalInterface
    public interface Bytes {
        /** Fills all of {@code destination} with the bytes from {@code offset}. */
        void read(long offset, Tensor destination);
    }

    /**
     * Opens a file.
     *
     * @param expected what it should be, for messages
     * @throws InputException if there is none, it is not a regular file, or it cannot be opened
     */
    public static NativeFile open(Path path, String expected) {
        if (!Files.isRegularFile(path)) {
            throw new InputException(path, "", Files.exists(path) ? "something that is not a file" : "no such file",
                    expected);
        }
        try {
            return new NativeFile(path);
        } catch (KernelException e) {
            throw unreadable(path, "", e);
        }
    }

    /** The bytes of a file; reading throws an {@link InputException} that names the tensor. */
    public static Bytes of(Path path, NativeFile file, String name) {
        return (offset, destination) -> {
            try {
                file.read(offset, destination.pointer(), destination.bytes());
            } catch (KernelException e) {
                throw unreadable(path, name, e);
            }
        };
    }

    static InputException unreadable(Path path, String field, KernelException e) {
        return new InputException(path.toString(), field, e.getMessage(), "a readable file", e);
    }

    /** {@link WeightSource#readInto} for a tensor whose bytes are at the entry's offset. */
    public static void readInto(Path path, String name, Entry entry, Bytes bytes, Tensor destination) {
        if (destination.dtype() != entry.dtype() || destination.bytes() != entry.bytes()) {
            throw new InputException(path, name, entry.dtype() + " " + entry.shape(),
                    destination.elements() + " elements of " + destination.dtype());
        }
        bytes.read(entry.offset(), destination);
    }

    /** {@link WeightSource#readFloat32} for a tensor whose bytes are at the entry's offset. */
    public static Tensor readFloat32(Path path, String name, Entry entry, Bytes bytes) {
        if (!entry.dtype().isNativeFloat() && entry.dtype() != DType.FLOAT64) {
            throw new InputException(path, name, "dtype " + entry.dtype().code(), "F64, F32, F16 or BF16");
        }
        return fill(Tensor.allocate(Device.CPU, DType.FLOAT32, entry.dimensions()), result -> {
            if (entry.dtype() == DType.FLOAT32) {
                bytes.read(entry.offset(), result);
            } else {
                readConverted(entry, bytes, result);
            }
        });
    }

    private static void readConverted(Entry entry, Bytes bytes, Tensor result) {
        long elements = entry.elements();
        try (Stream stream = Stream.cpu(1);
                Tensor chunk = Tensor.allocate(Device.CPU, entry.dtype(), Math.min(CHUNK, elements))) {
            for (long begin = 0; begin < elements; begin += CHUNK) {
                long n = Math.min(CHUNK, elements - begin);
                Tensor part = chunk.view(0, n);
                bytes.read(entry.offset() + begin * entry.dtype().bytes(), part);
                if (entry.dtype() == DType.FLOAT64) {
                    narrow(part.buffer(0, (int) part.bytes()).asDoubleBuffer(),
                            result.buffer(begin * Float.BYTES, (int) n * Float.BYTES).asFloatBuffer());
                } else {
                    Memory.convert(stream, part, result.view(begin, n));
                }
            }
        }
    }

    private static void narrow(DoubleBuffer source, FloatBuffer destination) {
        while (source.hasRemaining()) {
            destination.put((float) source.get());
        }
    }

    /** Fills a tensor and returns it; closes it if that fails. */
    public static Tensor fill(Tensor tensor, Consumer<Tensor> reader) {
        try {
            reader.accept(tensor);
            return tensor;
        } catch (RuntimeException | Error e) {
            tensor.close();
            throw e;
        }
    }
}
