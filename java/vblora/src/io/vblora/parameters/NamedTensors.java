package io.vblora.parameters;

import io.vblora.InputException;
import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.Tensors;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Float32 tensors under PEFT's names, for example all parameters of an adapter, on the adapter's device. Some may be
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
    public Tensor allocate(long... shape) {
        return owned.allocate(DType.FLOAT32, shape);
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
        tensors.forEach((name, tensor) -> copy.view(name, copy.allocate(tensor.shape()).copyFrom(tensor)));
        return copy;
    }

    /** Requires a tensor of the same name and shape for each of these; {@code source} is what messages call them. */
    public void check(String source, Map<String, Tensor> values) {
        tensors.forEach((name, tensor) -> {
            Tensor value = values.get(name);
            if (value == null || value.dtype() != tensor.dtype() || !value.hasShape(tensor.shape())) {
                throw new InputException(source, name, value == null ? "nothing" : value.toString(), tensor.toString());
            }
        });
    }

    /** Requires finite elements of the checked values of these names. */
    public void requireFinite(String source, Map<String, Tensor> values) {
        tensors.keySet().forEach(name -> Floats.requireFinite(source, name, values.get(name)));
    }

    /** Copies checked values. */
    public void copyFrom(Map<String, Tensor> values) {
        tensors.forEach((name, tensor) -> tensor.copyFrom(values.get(name)));
    }

    @Override
    public void close() {
        owned.close();
    }
}
