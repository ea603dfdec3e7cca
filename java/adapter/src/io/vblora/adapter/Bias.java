package io.vblora.adapter;

import io.vblora.JsonFields;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

/**
 * Which of the base model's biases are trained beside the updates: PEFT's {@code bias}. PEFT 0.21 stores them for LoRA
 * and VB-LoRA alike. Files of earlier versions may lack them: those of adapted layers with LoRA's lora_only, and all of
 * them with VB-LoRA. The model refuses such an adapter, since the biases that it was trained with are lost.
 */
enum Bias {
    NONE, ALL,
    /** The biases of adapted layers. */
    ADAPTED;

    /** PEFT accepts the word of any method for the biases of adapted layers, always with the same meaning. */
    static Bias of(JsonFields fields) {
        String value = fields.string("bias", "none");
        if (value.equals("none")) {
            return NONE;
        }
        if (value.equals("all")) {
            return ALL;
        }
        if (!words().contains(value)) {
            throw fields.wrong("bias", "one of " + String.join(", ", words()));
        }
        return ADAPTED;
    }

    /** All words, those of methods in alphabetical order. */
    static List<String> words() {
        return Stream.concat(Stream.of("none", "all"),
                AdapterMethods.all().stream().map(AdapterMethod::biasOfAdapted).sorted()).toList();
    }

    /** @param adapted paths of the adapted modules */
    boolean includes(String name, Set<String> adapted) {
        return ModelParameter.isBias(name)
                && (this == ALL || this == ADAPTED && adapted.contains(ModelParameter.module(name)));
    }
}
