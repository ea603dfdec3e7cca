package io.vblora.adapter;

import io.vblora.JsonFields;
import java.util.List;
import java.util.Set;

/**
 * Which of the base model's biases are trained beside the updates: PEFT's {@code bias}. PEFT 0.21 stores them for LoRA
 * and VB-LoRA alike. Files of versions before may lack them: those of adapted layers with LoRA's lora_only, and all
 * with VB-LoRA; such an adapter is refused by the model, since the biases that it was trained with are lost.
 */
enum Bias {
    NONE, ALL,
    /** Those of adapted layers. */
    ADAPTED;

    /** PEFT lets any method's name stand before _only, and all mean the same. */
    private static final List<String> VALUES = List.of("none", "all", "lora_only", "vblora_only");

    static Bias of(JsonFields fields) {
        String value = fields.string("bias", "none");
        if (!VALUES.contains(value)) {
            throw fields.wrong("bias", "one of " + String.join(", ", VALUES));
        }
        return value.equals("none") ? NONE : value.equals("all") ? ALL : ADAPTED;
    }

    /** @param adapted paths of the adapted modules */
    boolean includes(String name, Set<String> adapted) {
        return ModelParameter.isBias(name)
                && (this == ALL || this == ADAPTED && adapted.contains(ModelParameter.module(name)));
    }
}
