package io.vblora.adapter;

import io.vblora.kernels.Tensor;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Float32 CPU tensors under PEFT's names, for example all parameters of an adapter. Some may be views of the adapter's own
 * memory: read them before the adapter changes, and close this afterwards.
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

    @Override
    public void close() {
        owned.forEach(Tensor::close);
    }
}
