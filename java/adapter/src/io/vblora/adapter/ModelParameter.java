package io.vblora.adapter;

import io.vblora.adapter.peft.PeftKeys;
import io.vblora.kernels.Tensor;
import java.util.List;

/**
 * A parameter of a model that an adapter may hold in its place and train whole.
 *
 * @param name as in Hugging Face's weights, for example {@code classifier.weight}
 * @param shape [out, in] of a linear layer's weight, or [in, out] with fanInFanOut; [rows, hidden] of a table; [n] of a
 * bias or a norm's weight
 * @param values the base model's own values, in any native type, on the model's device; they live as long as the model.
 * Null for a head's parameter, which the base model does not have
 * @param fanInFanOut whether it is the weight of a linear layer that is stored as [in, out]
 */
public record ModelParameter(String name, List<Long> shape, Tensor values, boolean fanInFanOut) {
    /** A parameter that is no weight stored as [in, out]. */
    public ModelParameter(String name, List<Long> shape, Tensor values) {
        this(name, shape, values, false);
    }

    /** The path of the module that it belongs to. */
    String module() {
        return module(name);
    }

    static String module(String name) {
        return name.substring(0, Math.max(0, name.lastIndexOf('.')));
    }

    static boolean isBias(String name) {
        return name.endsWith(PeftKeys.BIAS);
    }

    /** Whether it belongs to the head of a task, which the adapter must hold. */
    public boolean isHead() {
        return values == null;
    }
}
