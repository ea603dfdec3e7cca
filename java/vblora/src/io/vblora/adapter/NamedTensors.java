package io.vblora.adapter;

import io.vblora.InputException;
import io.vblora.kernels.Tensor;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Float32 CPU tensors under PEFT's names, for example all parameters of an adapter. Some may be views of the adapter's
 * own memory: read them before the adapter changes, and close this afterwards.
 */
public final class NamedTensors implements AutoCloseable {
    private final Map<String, Tensor> tensors = new LinkedHashMap<>();
    private final List<Tensor> owned = new ArrayList<>();

    /** Adds a tensor that somebody else owns. */
    void view(String name, Tensor tensor) {
        tensors.put(name, tensor);
    }

    /** Takes over a tensor, to close it with this. */
    Tensor own(Tensor tensor) {
        owned.add(tensor);
        return tensor;
    }

    public Map<String, Tensor> asMap() {
        return Collections.unmodifiableMap(tensors);
    }

    /** The tensor of a name, or null. */
    public Tensor get(String name) {
        return tensors.get(name);
    }

    /** Requires a tensor of the same name and shape for each of these; {@code source} is what messages call them. */
    void check(String source, Map<String, Tensor> values) {
        tensors.forEach((name, tensor) -> {
            Tensor value = values.get(name);
            if (value == null || value.dtype() != tensor.dtype() || !value.hasShape(tensor.shape())) {
                throw new InputException(source, name, value == null ? "nothing" : value.toString(), tensor.toString());
            }
        });
    }

    /** Copies checked values. */
    void copyFrom(Map<String, Tensor> values) {
        tensors.forEach((name, tensor) -> tensor.copyFrom(values.get(name)));
    }

    @Override
    public void close() {
        owned.forEach(Tensor::close);
    }
}
