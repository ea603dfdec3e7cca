package io.vblora.adapter;

import io.vblora.adapter.peft.PeftKeys;
import java.util.List;
import java.util.Set;

/**
 * A parameter of a model that an adapter holds whole.
 *
 * @param name in the model
 * @param key its tensor's name in PEFT's files
 * @param shape as {@link ModelParameter}'s
 */
record WholeParameter(String name, String key, List<Long> shape) {
    /**
     * The parameter with this name. PEFT keeps the bias of an adapted layer with the layer that it wraps.
     *
     * @param adapted paths of the adapted modules
     */
    static WholeParameter of(String name, List<Long> shape, Set<String> adapted) {
        String module = ModelParameter.module(name);
        return new WholeParameter(name,
                ModelParameter.isBias(name) && adapted.contains(module) ? PeftKeys.of(module, PeftKeys.BASE_BIAS)
                        : PeftKeys.MODULE_PREFIX + name, shape);
    }

    long[] dimensions() {
        return shape.stream().mapToLong(n -> n).toArray();
    }

    long elements() {
        return shape.stream().reduce(1L, Math::multiplyExact);
    }

    /** Whether it is the weight of a linear layer or a table of embeddings, to which weight decay applies. */
    boolean isMatrix() {
        return shape.size() == 2;
    }
}
