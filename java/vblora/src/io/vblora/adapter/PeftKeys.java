package io.vblora.adapter;

/** Names of tensors in PEFT's adapter files. */
final class PeftKeys {
    static final String MODULE_PREFIX = "base_model.model.";
    static final String VECTOR_BANK = "base_model.vblora_vector_bank";
    static final String LOGITS_A = ".vblora_logits_A";
    static final String LOGITS_B = ".vblora_logits_B";
    /** Suffixes of a logits name where only the selection is stored. */
    static final String TOPK_INDICES = "_topk_indices";
    static final String TOPK_WEIGHTS = "_topk_weights";
    static final String LORA_A = ".lora_A.weight";
    static final String LORA_B = ".lora_B.weight";
    /** Suffixes of a parameter that is saved whole. */
    static final String WEIGHT = ".weight";
    static final String BIAS = ".bias";
    /** Suffix of an adapted layer's own bias, behind the layer's path. */
    static final String BASE_BIAS = ".base_layer.bias";
    /** In names of what PEFT's wrapper of a module to save holds: the module that was there, and the copy. */
    static final String ORIGINAL_MODULE = ".original_module.";
    static final String MODULES_TO_SAVE = ".modules_to_save.";

    private PeftKeys() {}

    static String logitsA(String path) {
        return MODULE_PREFIX + path + LOGITS_A;
    }

    static String logitsB(String path) {
        return MODULE_PREFIX + path + LOGITS_B;
    }

    static String baseBias(String path) {
        return MODULE_PREFIX + path + BASE_BIAS;
    }

    static String loraA(String path) {
        return MODULE_PREFIX + path + LORA_A;
    }

    static String loraB(String path) {
        return MODULE_PREFIX + path + LORA_B;
    }
}
