package io.vblora.weights;

import io.vblora.InputException;
import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Tensor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/**
 * Named tensors on disk from which a model or an adapter is loaded: one safetensors file, or the shards of a folder as
 * Hugging Face writes them. Opening a source checks all headers; reading is safe from several threads. Close it once
 * everything is read.
 */
public interface WeightSource extends AutoCloseable {
    /**
     * What a file says about one tensor.
     *
     * @param dtype element type as stored
     * @param shape sizes, none negative
     * @param offset where its bytes begin, from the beginning of the file
     * @param bytes how many there are
     */
    record Entry(DType dtype, List<Long> shape, long offset, long bytes) {
        /** The shape as {@link Tensor#allocate} takes it. */
        public long[] dimensions() {
            return shape.stream().mapToLong(Long::longValue).toArray();
        }

        public long elements() {
            return bytes / dtype.bytes();
        }
    }

    /**
     * Opens the weights of a Hugging Face folder: {@code model.safetensors}, or else the shards that {@code
     * model.safetensors.index.json} lists. A path to a safetensors file is opened as it is.
     *
     * @throws InputException if there are none, or a file breaks the format
     */
    static WeightSource open(Path path) {
        if (!Files.isDirectory(path)) {
            return SafetensorsFile.open(path);
        }
        Path single = path.resolve("model.safetensors");
        if (Files.exists(single)) {
            return SafetensorsFile.open(single);
        }
        Path index = path.resolve(ShardedWeights.INDEX);
        if (Files.exists(index)) {
            return ShardedWeights.open(index);
        }
        boolean pickled = Files.exists(path.resolve("pytorch_model.bin"))
                || Files.exists(path.resolve("pytorch_model.bin.index.json"));
        throw new InputException(path, "", pickled ? "only pytorch_model.bin" : "no weights",
                "model.safetensors or " + ShardedWeights.INDEX);
    }

    /** Names of all tensors, in the order of the file. */
    Set<String> names();

    /**
     * What is known of a tensor without reading it.
     *
     * @throws InputException if there is no tensor of this name
     */
    Entry entry(String name);

    /** The file that holds a tensor, for messages. */
    Path file(String name);

    default boolean contains(String name) {
        return names().contains(name);
    }

    /**
     * Reads a tensor into a CPU tensor of the same type and number of elements.
     *
     * @throws InputException if there is no tensor of this name, if its type or size differs, or if the file cannot be
     *     read
     */
    void readInto(String name, Tensor destination);

    /** Reads a tensor as a new CPU tensor of the stored type and shape, which the caller closes. */
    default Tensor read(String name) {
        Entry entry = entry(name);
        return Reading.fill(Tensor.allocate(Device.CPU, entry.dtype(), entry.dimensions()),
                tensor -> readInto(name, tensor));
    }

    /**
     * Reads a floating-point tensor as a new float32 CPU tensor, which the caller closes.
     *
     * @throws InputException also if it holds anything but F64, F32, F16 or BF16
     */
    Tensor readFloat32(String name);

    @Override
    void close();
}
