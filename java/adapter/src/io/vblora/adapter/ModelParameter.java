package io.vblora.adapter;

import io.vblora.adapter.peft.PeftKeys;
import io.vblora.kernels.Tensor;
import java.util.List;

/**
 * A parameter of a model that an adapter may hold in its place and train whole.
 *
 * @param name as in Hugging Face's weights, for example {@code classifier.weight}
 * @param shape [out, in] of a linear layer's weight, [rows, hidden] of a table, [n] of a bias or a norm's weight
 * @param values the base model's own, in any native type, on the model's device and as long as the model; null where
 * the base model has none: of a head
 */
public record ModelParameter(String name, List<Long> shape, Tensor values) {
    /** Path of the module that it belongs to. */
    String module() {
        return module(name);
    }

    static String module(String name) {
        return name.substring(0, Math.max(0, name.lastIndexOf('.')));
    }

    static boolean isBias(String name) {
        return name.endsWith(PeftKeys.BIAS);
    }

    /** Whether it belongs to the head of a task, which an adapter has to hold. */
    public boolean isHead() {
        return values == null;
    }
}
