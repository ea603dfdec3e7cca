package io.vblora.adapter;

import io.vblora.JsonFields;
import java.util.List;
import java.util.Set;

/**
 * Which of the base model's biases are trained beside the updates: PEFT's {@code bias}. PEFT 0.21 stores them for LoRA
 * and VB-LoRA alike. Files of earlier versions may lack them: those of adapted layers with LoRA's lora_only, and all of
 * them with VB-LoRA. The model refuses such an adapter, since the biases that it was trained with are lost.
 */
enum Bias {
    NONE, ALL,
    /** The biases of adapted layers. */
    ADAPTED;

    /** PEFT accepts the name of any method before _only, always with the same meaning. */
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
