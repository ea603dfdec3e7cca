package io.vblora.parameters;

import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.Tensors;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Tensors under PEFT's names, such as all parameters of an adapter, on the adapter's device. Some may be views of the
 * adapter's own memory: read them before the adapter changes, and close this afterwards.
 */
public final class NamedTensors implements AutoCloseable {
    private final Map<String, Tensor> tensors = new LinkedHashMap<>();
    private final Tensors owned;

    /** Contains no tensors yet. Those that {@link #allocate} returns lie on this device. */
    public NamedTensors(Device device) {
        owned = new Tensors(device);
    }

    /** Adds a tensor that belongs to somebody else. */
    public void view(String name, Tensor tensor) {
        tensors.put(name, tensor);
    }

    /** Allocates a tensor that is closed with this. If that fails, all tensors allocated before are closed. */
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

    /** Copies of all tensors on the CPU, which later changes of the adapter do not affect. */
    public NamedTensors copy() {
        NamedTensors copy = new NamedTensors(Device.CPU);
        tensors.forEach(
                (name, tensor) -> copy.view(name, copy.allocate(tensor.dtype(), tensor.shape()).copyFrom(tensor)));
        return copy;
    }

    @Override
    public void close() {
        owned.close();
    }
}
