package io.vblora.adapter.peft;

import io.vblora.InputException;
import io.vblora.kernels.DType;
import io.vblora.kernels.Tensor;
import io.vblora.parameters.ParameterLayout;
import io.vblora.weights.SafetensorsFile;
import io.vblora.weights.WeightSource.Entry;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The tensors of an adapter's file, and the element types in which those that were read are stored. */
public final class PeftFile implements AutoCloseable {
    private final SafetensorsFile file;
    private final Map<String, DType> dtypes = new HashMap<>();

    private PeftFile(SafetensorsFile file) {
        this.file = file;
    }

    /** @throws InputException if it is not a safetensors file */
    public static PeftFile open(Path path) {
        return new PeftFile(SafetensorsFile.open(path));
    }

    public Path path() {
        return file.path();
    }

    /** Names of all tensors. */
    public Collection<String> names() {
        return file.names();
    }

    public boolean contains(String name) {
        return file.contains(name);
    }

    public List<Long> shape(String name) {
        return file.entry(name).shape();
    }

    public DType dtype(String name) {
        return file.entry(name).dtype();
    }

    /** Element types of the parameters that were read, by name. */
    public Map<String, DType> dtypes() {
        return dtypes;
    }

    /**
     * Requires a shape, in which -1 stands for any size.
     *
     * @param keys the keys of the configuration that demand it
     */
    public List<Long> expect(String name, String keys, long... dimensions) {
        Entry entry = file.entry(name);
        boolean fits = entry.shape().size() == dimensions.length;
        for (int i = 0; fits && i < dimensions.length; i++) {
            fits = dimensions[i] < 0 || dimensions[i] == entry.shape().get(i);
        }
        if (!fits) {
            String expected = Arrays.toString(dimensions).replace("-1", "*");
            throw new InputException(file.path(), name, "shape " + entry.shape(),
                    expected + " by " + keys + " in " + PeftKeys.CONFIG_FILE);
        }
        return entry.shape();
    }

    /** A tensor as it is stored, on the CPU. The caller closes it. */
    public Tensor read(String name) {
        return file.read(name);
    }

    /** A tensor's numbers as float32. */
    public float[] readFloats(String name) {
        try (Tensor stored = file.readFloat32(name)) {
            return stored.toFloats();
        }
    }

    /** Reads the parameters of a layout into their buffer, whether they are finite or not. */
    public void read(ParameterLayout layout, Tensor buffer) {
        for (ParameterLayout.Entry entry : layout.tensors()) {
            dtypes.put(entry.name(), file.entry(entry.name()).dtype());
            try (Tensor values = file.readFloat32(entry.name())) {
                entry.copy(values, buffer);
            }
        }
    }

    /**
     * Reads the parameters of a layout into their buffer.
     *
     * @throws InputException naming the first parameter that is not finite
     */
    public void readFinite(ParameterLayout layout, Tensor buffer) {
        read(layout, buffer);
        layout.requireFinite(file.path().toString(), buffer);
    }

    /** The exception for a tensor, or the whole file with "" for its name, that is not what it must be. */
    public InputException wrong(String name, String found, String expected) {
        return new InputException(file.path(), name, found, expected);
    }

    @Override
    public void close() {
        file.close();
    }
}
