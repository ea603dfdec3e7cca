package io.vblora.weights;

import io.vblora.InputException;
import io.vblora.kernels.KernelException;
import io.vblora.kernels.NativeFile;
import io.vblora.kernels.Tensor;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;

/**
 * A safetensors file, open for reading: eight bytes with the header's length, the header (JSON) and the tensors' bytes,
 * all little-endian. Opening checks the whole header, and a file that breaks the format anywhere is refused. Reading
 * copies straight into native memory, so sizes beyond 2 GiB need no special case, and is safe from several threads.
 */
public final class SafetensorsFile implements WeightSource {
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
        NativeFile file = Reading.open(path, "a safetensors file");
        try {
            return new SafetensorsFile(path, file, SafetensorsHeader.read(path, file));
        } catch (KernelException e) {
            file.close();
            throw Reading.unreadable(path, "header", e);
        } catch (RuntimeException | Error e) {
            file.close();
            throw e;
        }
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
        Reading.readInto(path, name, entry(name), Reading.of(path, file, name), destination);
    }

    @Override
    public Tensor readFloat32(String name) {
        return Reading.readFloat32(path, name, entry(name), Reading.of(path, file, name));
    }

    @Override
    public void close() {
        file.close();
    }
}
