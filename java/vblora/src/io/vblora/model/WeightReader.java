package io.vblora.model;

import io.vblora.InputException;
import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Memory;
import io.vblora.weights.WeightSource;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.LongStream;

/** Reads a model's weights into tensors of its device, and parts made of them, checking their shapes and types. */
public final class WeightReader {
    private final WeightSource source;
    private final DType dtype;
    private final Stream stream;
    private final List<Tensor> owned = new ArrayList<>();

    private WeightReader(WeightSource source, DType dtype, Stream stream) {
        this.source = source;
        this.dtype = dtype;
        this.stream = stream;
    }

    /**
     * Builds a model, which owns the {@link #tensors} that it reads; if that fails, they are freed.
     *
     * @param source stays the caller's
     * @param dtype of matrices, or null to leave them as stored
     */
    public static <M> M load(WeightSource source, DType dtype, Stream stream, Function<WeightReader, M> build) {
        WeightReader reader = new WeightReader(source, dtype, stream);
        try {
            return build.apply(reader);
        } catch (RuntimeException | Error e) {
            reader.owned.forEach(Tensor::close);
            throw e;
        }
    }

    /**
     * Refuses weights of more layers than the configuration has, which would be left out without a word.
     *
     * @param folder of config.json
     * @param prefix what stands before the number of a layer in the names of its weights
     * @throws InputException if there are more
     */
    public static void checkLayers(WeightSource source, Path folder, String prefix, int numHiddenLayers) {
        Pattern layer = Pattern.compile(Pattern.quote(prefix) + "(\\d{1,9})\\..*", Pattern.DOTALL);
        int stored = source.names().stream().map(layer::matcher).filter(Matcher::matches)
                .mapToInt(name -> Integer.parseInt(name.group(1)) + 1).max().orElse(0);
        if (stored > numHiddenLayers) {
            throw new InputException(folder.resolve("config.json"), "num_hidden_layers",
                    Integer.toString(numHiddenLayers), stored + ", as the weights have " + prefix + (stored - 1));
        }
    }

    /** All tensors that have been read. */
    public List<Tensor> tensors() {
        return owned;
    }

    /**
     * Linear layers of the modules at these paths, which read the same input.
     *
     * @param outs outputs of each
     */
    public LinearGroup linears(List<String> paths, long[] outs, long in, boolean bias) {
        return linears(paths, path -> path, outs, in, bias);
    }

    /**
     * As {@link #linears(List, long[], long, boolean)}, of weights that are stored under other names.
     *
     * @param stored the path under which a module's weights are stored
     */
    LinearGroup linears(List<String> paths, UnaryOperator<String> stored, long[] outs, long in, boolean bias) {
        Matrices weights = matrices(paths.stream().map(path -> stored.apply(path) + ".weight").toList(), outs, in);
        Linear[] members = new Linear[outs.length];
        for (int i = 0; i < outs.length; i++) {
            String path = paths.get(i);
            members[i] = new Linear(path, new Parameter(path + ".weight", weights.each.get(i)),
                    bias ? new Parameter(path + ".bias", vector(stored.apply(path) + ".bias", outs[i])) : null);
        }
        return new LinearGroup(weights.joint, members);
    }

    /** A linear layer [out, in] of the module at this path. */
    public Linear linear(String path, long out, long in, boolean bias) {
        return new Linear(path, new Parameter(path + ".weight", matrix(path + ".weight", out, in)),
                bias ? new Parameter(path + ".bias", vector(path + ".bias", out)) : null);
    }

    /**
     * A linear layer of the module at this path whose weight is stored as [in, out]: Hugging Face's Conv1D, which
     * GPT-2 is made of. It always has a bias.
     */
    public Linear conv1d(String path, long in, long out) {
        return new Linear(path, Parameter.ofConv1d(path + ".weight", matrix(path + ".weight", in, out)),
                new Parameter(path + ".bias", vector(path + ".bias", out)));
    }

    /**
     * The table [rows, hidden] of the module at this path.
     *
     * @param paddingRow as {@link Embedding#paddingRow}
     */
    public Embedding embedding(String path, long rows, long hidden, int paddingRow) {
        return new Embedding(new Parameter(path + ".weight", matrix(path + ".weight", rows, hidden)), paddingRow);
    }

    /** The norm of the module at this path. */
    public RmsNorm rmsNorm(String path, long hidden, float eps) {
        return new RmsNorm(new Parameter(path + ".weight", vector(path + ".weight", hidden)), eps);
    }

    /** The norm of the module at this path. */
    public LayerNorm layerNorm(String path, long hidden, float eps) {
        return new LayerNorm(new Parameter(path + ".weight", vector(path + ".weight", hidden)),
                new Parameter(path + ".bias", vector(path + ".bias", hidden)), eps);
    }

    /** A matrix [rows, columns] in the type asked for. */
    public Tensor matrix(String name, long rows, long columns) {
        return read(name, dtype, rows, columns);
    }

    /**
     * Matrices.
     *
     * @param joint all of them, one after the other; null where they lie apart
     */
    record Matrices(Tensor joint, List<Tensor> each) {}

    /**
     * Matrices [rows, columns] in the type asked for. Where that makes them of one type, they lie one after the other
     * in memory.
     *
     * @param rows of each
     */
    Matrices matrices(List<String> names, long[] rows, long columns) {
        List<DType> types = new ArrayList<>();
        for (int i = 0; i < rows.length; i++) {
            DType stored = check(names.get(i), rows[i], columns);
            types.add(dtype == null ? stored : dtype);
        }
        List<Tensor> matrices = new ArrayList<>();
        if (types.stream().distinct().count() > 1) {
            for (int i = 0; i < rows.length; i++) {
                matrices.add(matrix(names.get(i), rows[i], columns));
            }
            return new Matrices(null, matrices);
        }
        Tensor all = Tensor.allocate(stream.device(), types.get(0), LongStream.of(rows).sum(), columns);
        owned.add(all);
        long first = 0;
        for (int i = 0; i < rows.length; i++) {
            Tensor matrix = all.view(first * columns, rows[i], columns);
            try (Tensor stored = onDevice(source.read(names.get(i)))) {
                if (stored.dtype() == matrix.dtype()) {
                    Memory.copy(stream, stored, matrix);
                } else {
                    Memory.convert(stream, stored, matrix);
                }
                stream.synchronize();
            }
            matrices.add(matrix);
            first += rows[i];
        }
        return new Matrices(all, matrices);
    }

    /** A vector [n] in float32. */
    public Tensor vector(String name, long n) {
        return read(name, DType.FLOAT32, n);
    }

    /** Returns the type in which a tensor of this shape is stored. */
    private DType check(String name, long... shape) {
        var entry = source.entry(name);
        if (!Arrays.equals(entry.dimensions(), shape)) {
            throw new InputException(source.file(name), name, "shape " + entry.shape(),
                    "shape " + Arrays.toString(shape) + ", as config.json says");
        }
        if (!entry.dtype().isNativeFloat()) {
            throw new InputException(source.file(name), name, "dtype " + entry.dtype().code(), "F32, BF16 or F16");
        }
        return entry.dtype();
    }

    private Tensor read(String name, DType wanted, long... shape) {
        check(name, shape);
        Tensor stored = onDevice(source.read(name));
        if (wanted == null || stored.dtype() == wanted) {
            owned.add(stored);
            return stored;
        }
        try (stored) {
            Tensor converted = Tensor.allocate(stream.device(), wanted, shape);
            owned.add(converted);
            Memory.convert(stream, stored, converted);
            stream.synchronize();
            return converted;
        }
    }

    /** The tensor itself where the device is the CPU, else a copy in its place. */
    private Tensor onDevice(Tensor read) {
        if (stream.device().isCpu()) {
            return read;
        }
        try (read) {
            Tensor copy = Tensor.allocate(stream.device(), read.dtype(), read.shape());
            try {
                return copy.copyFrom(read);
            } catch (RuntimeException | Error e) {
                copy.close();
                throw e;
            }
        }
    }
}
