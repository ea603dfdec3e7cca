package io.vblora.model.onnx;

import io.vblora.InputException;
import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Tensor;
import io.vblora.onnx.OnnxFile;
import io.vblora.weights.Reading;
import io.vblora.weights.WeightSource;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;

/** Tensors of an ONNX file under other names, some of them transposed. */
final class OnnxBertWeights implements WeightSource {
    /** Rows and columns that are transposed at a time, so that both sides stay in the cache. */
    private static final int TILE = 32;

    /**
     * A tensor of the file.
     *
     * @param name its name there
     * @param shape the shape that it is given
     * @param transposed whether the file has the matrix the other way round
     */
    record Source(String name, List<Long> shape, boolean transposed) {}

    private final OnnxFile file;
    private final Map<String, Source> sources;

    OnnxBertWeights(OnnxFile file, Map<String, Source> sources) {
        this.file = file;
        this.sources = sources;
    }

    private Source source(String name) {
        Source source = sources.get(name);
        if (source == null) {
            throw new InputException(file.path(), name, "no tensor of this name",
                    "one of the encoder's " + sources.size());
        }
        return source;
    }

    @Override
    public Set<String> names() {
        return Collections.unmodifiableSet(sources.keySet());
    }

    /** Offset and bytes are those of the stored tensor, which may be transposed. */
    @Override
    public Entry entry(String name) {
        Source source = source(name);
        Entry stored = file.entry(source.name);
        return new Entry(stored.dtype(), source.shape, stored.offset(), stored.bytes());
    }

    @Override
    public Path file(String name) {
        return file.file(source(name).name);
    }

    @Override
    public void readInto(String name, Tensor destination) {
        Source source = source(name);
        if (!source.transposed) {
            file.readInto(source.name, destination);
            return;
        }
        Entry entry = file.entry(source.name);
        if (destination.dtype() != entry.dtype() || destination.bytes() != entry.bytes()) {
            throw new InputException(file(name), name, entry.dtype() + " " + source.shape,
                    destination.elements() + " elements of " + destination.dtype());
        }
        try (Tensor stored = file.read(source.name)) {
            transpose(stored, destination);
        }
    }

    @Override
    public Tensor readFloat32(String name) {
        Source source = source(name);
        Tensor stored = file.readFloat32(source.name);
        long[] shape = entry(name).dimensions();
        if (!source.transposed && stored.hasShape(shape)) {
            return stored;
        }
        try (stored) {
            return Reading.fill(Tensor.allocate(Device.CPU, DType.FLOAT32, shape), result -> {
                if (source.transposed) {
                    transpose(stored, result);
                } else {
                    result.copyFrom(stored);
                }
            });
        }
    }

    /** destination [columns, rows] = stored [rows, columns] transposed. */
    private static void transpose(Tensor stored, Tensor destination) {
        long rows = stored.dimension(0);
        long columns = stored.dimension(1);
        int size = stored.dtype().bytes();
        Function<Long, ByteBuffer> row = i -> stored.buffer(i * columns * size, Math.toIntExact(columns * size));
        for (long j = 0; j < columns; j += TILE) {
            int width = (int) Math.min(TILE, columns - j);
            ByteBuffer to = destination.buffer(j * rows * size, Math.toIntExact(width * rows * size));
            for (long i = 0; i < rows; i++) {
                ByteBuffer from = row.apply(i);
                for (int k = 0; k < width; k++) {
                    int source = (int) (j + k) * size;
                    int target = (int) (k * rows + i) * size;
                    switch (size) {
                        case 1 -> to.put(target, from.get(source));
                        case 2 -> to.putShort(target, from.getShort(source));
                        case 4 -> to.putInt(target, from.getInt(source));
                        default -> to.putLong(target, from.getLong(source));
                    }
                }
            }
        }
    }

    @Override
    public void close() {
        file.close();
    }
}
