package io.vblora.adapter.peft;

import io.vblora.kernels.DType;
import io.vblora.parameters.ParameterLayout;
import java.util.List;

/**
 * A tensor of an adapter's file, known before it is written.
 *
 * @param dtype its element type; null for a parameter, which is stored in the type in which it was read if the adapter
 * has not changed since, and otherwise as float32
 */
public record StoredTensor(String name, DType dtype, List<Long> shape) {
    public StoredTensor {
        shape = List.copyOf(shape);
    }

    public long[] dimensions() {
        return shape.stream().mapToLong(n -> n).toArray();
    }

    /** All parameters of a layout. */
    public static List<StoredTensor> of(ParameterLayout layout) {
        return layout.tensors().stream().map(entry -> new StoredTensor(entry.name(), null, entry.shape())).toList();
    }
}
