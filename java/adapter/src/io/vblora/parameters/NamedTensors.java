package io.vblora.parameters;

import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.Tensors;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Tensors under PEFT's names, for example all parameters of an adapter, on the adapter's device. Some may be
 * views of the adapter's own memory: read them before the adapter changes, and close this afterwards.
 */
public final class NamedTensors implements AutoCloseable {
    private final Map<String, Tensor> tensors = new LinkedHashMap<>();
    private final Tensors owned;

    /** No tensors yet; what {@link #allocate} gives lies on this device. */
    public NamedTensors(Device device) {
        owned = new Tensors(device);
    }

    /** Adds a tensor that somebody else owns. */
    public void view(String name, Tensor tensor) {
        tensors.put(name, tensor);
    }

    /** Allocates a tensor that is closed with this; all such tensors are if it cannot be had. */
    public Tensor allocate(DType dtype, long... shape) {
        return owned.allocate(dtype, shape);
    }

    public Map<String, Tensor> asMap() {
        return Collections.unmodifiableMap(tensors);
    }

    /** The tensor of a name, or null. */
    public Tensor get(String name) {
        return tensors.get(name);
    }

    /** The same numbers in memory of their own, on the CPU, which no change of the adapter reaches. */
    public NamedTensors copy() {
        NamedTensors copy = new NamedTensors(Device.CPU);
        tensors.forEach((name, tensor) ->
                copy.view(name, copy.allocate(tensor.dtype(), tensor.shape()).copyFrom(tensor)));
        return copy;
    }

    @Override
    public void close() {
        owned.close();
    }
}
