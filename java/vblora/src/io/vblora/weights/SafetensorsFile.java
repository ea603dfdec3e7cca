package io.vblora.weights;

import io.vblora.InputException;
import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.KernelException;
import io.vblora.kernels.NativeFile;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Memory;
import java.nio.DoubleBuffer;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;

/**
 * A safetensors file, open for reading: eight bytes with the header's length, the header (JSON), the tensors' bytes,
 * all little-endian. Opening checks the whole header: a file that breaks the format anywhere is refused. Reading copies
 * straight into native memory, so sizes beyond 2 GiB are no special case, and is safe from several threads.
 */
public final class SafetensorsFile implements WeightSource {
    /** Elements converted at a time. */
    private static final long CHUNK = 1 << 20;

    private final Path path;
    private final NativeFile file;
    private final SafetensorsHeader header;

    private SafetensorsFile(Path path, NativeFile file, SafetensorsHeader header) {
        this.path = path;
        this.file = file;
        this.header = header;
    }

    /**
     * Opens a file and checks its header.
     *
     * @throws InputException naming the file, the tensor and field, what was found and what was expected
     */
    public static SafetensorsFile open(Path path) {
        if (!Files.isRegularFile(path)) {
            throw new InputException(path, "", Files.exists(path) ? "something that is not a file" : "no such file",
                    "a safetensors file");
        }
        NativeFile file;
        try {
            file = new NativeFile(path);
        } catch (KernelException e) {
            throw unreadable(path, "", e);
        }
        try {
            return new SafetensorsFile(path, file, SafetensorsHeader.read(path, file));
        } catch (KernelException e) {
            file.close();
            throw unreadable(path, "header", e);
        } catch (RuntimeException | Error e) {
            file.close();
            throw e;
        }
    }

    private static InputException unreadable(Path path, String field, KernelException e) {
        return new InputException(path.toString(), field, e.getMessage(), "a readable file", e);
    }

    public Path path() {
        return path;
    }

    /** The strings under {@code __metadata__}; empty if there are none. */
    public Map<String, String> metadata() {
        return header.metadata();
    }

    @Override
    public Set<String> names() {
        return header.entries().keySet();
    }

    @Override
    public Path file(String name) {
        return path;
    }

    @Override
    public Entry entry(String name) {
        Entry entry = header.entries().get(name);
        if (entry == null) {
            throw new InputException(path, name, "no tensor of this name", "one of the file's " + names().size()
                    + " tensors");
        }
        return entry;
    }

    @Override
    public void readInto(String name, Tensor destination) {
        Entry entry = entry(name);
        if (destination.dtype() != entry.dtype() || destination.bytes() != entry.bytes()) {
            throw new InputException(path, name, entry.dtype() + " " + entry.shape(),
                    destination.elements() + " elements of " + destination.dtype());
        }
        readBytes(name, entry.offset(), destination);
    }

    @Override
    public Tensor readFloat32(String name) {
        Entry entry = entry(name);
        if (!entry.dtype().isNativeFloat() && entry.dtype() != DType.FLOAT64) {
            throw new InputException(path, name, "dtype " + entry.dtype().code(), "F64, F32, F16 or BF16");
        }
        return Reading.fill(Tensor.allocate(Device.CPU, DType.FLOAT32, entry.dimensions()), result -> {
            if (entry.dtype() == DType.FLOAT32) {
                readBytes(name, entry.offset(), result);
            } else {
                readConverted(name, entry, result);
            }
        });
    }

    private void readConverted(String name, Entry entry, Tensor result) {
        long elements = entry.elements();
        try (Stream stream = Stream.cpu(1);
                Tensor chunk = Tensor.allocate(Device.CPU, entry.dtype(), Math.min(CHUNK, elements))) {
            for (long begin = 0; begin < elements; begin += CHUNK) {
                long n = Math.min(CHUNK, elements - begin);
                Tensor part = chunk.view(0, n);
                readBytes(name, entry.offset() + begin * entry.dtype().bytes(), part);
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

    private void readBytes(String name, long offset, Tensor destination) {
        try {
            file.read(offset, destination.pointer(), destination.bytes());
        } catch (KernelException e) {
            throw unreadable(path, name, e);
        }
    }

    @Override
    public void close() {
        file.close();
    }
}
