package io.vblora.model;

import io.vblora.InputException;
import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Memory;
import io.vblora.weights.WeightSource;
import java.util.Arrays;
import java.util.List;

/** Reads a model's weights into tensors of its device, checking their shapes and types. */
final class WeightReader {
    private final WeightSource source;
    private final DType dtype;
    private final Stream stream;
    private final List<Tensor> owned;

    /**
     * @param dtype of matrices, or null to leave them as stored
     * @param owned every tensor read is added to it
     */
    WeightReader(WeightSource source, DType dtype, Stream stream, List<Tensor> owned) {
        this.source = source;
        this.dtype = dtype;
        this.stream = stream;
        this.owned = owned;
    }

    /** A matrix [rows, columns] in the type asked for. */
    Tensor matrix(String name, long rows, long columns) {
        return read(name, dtype, rows, columns);
    }

    /** A vector [n] in float32. */
    Tensor vector(String name, long n) {
        return read(name, DType.FLOAT32, n);
    }

    private Tensor read(String name, DType wanted, long... shape) {
        var entry = source.entry(name);
        if (!Arrays.equals(entry.dimensions(), shape)) {
            throw new InputException(source.file(name), name, "shape " + entry.shape(),
                    "shape " + Arrays.toString(shape) + ", as config.json says");
        }
        if (!entry.dtype().isNativeFloat()) {
            throw new InputException(source.file(name), name, "dtype " + entry.dtype().code(), "F32, BF16 or F16");
        }
        Tensor stored = source.read(name);
        if (wanted == null || stored.dtype() == wanted) {
            owned.add(stored);
            return stored;
        }
        try (stored) {
            Tensor converted = Tensor.allocate(stream.device(), wanted, shape);
            owned.add(converted);
            Memory.convert(stream, stored, converted);
            return converted;
        }
    }
}
