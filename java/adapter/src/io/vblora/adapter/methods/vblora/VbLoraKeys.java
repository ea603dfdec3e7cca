package io.vblora.adapter.methods.vblora;

import io.vblora.adapter.peft.PeftKeys;

/** Names of VB-LoRA's tensors in PEFT's files. */
final class VbLoraKeys {
    static final String VECTOR_BANK = "base_model.vblora_vector_bank";
    static final String LOGITS_A = ".vblora_logits_A";
    static final String LOGITS_B = ".vblora_logits_B";
    /** Suffixes of a logits name where only the selection is stored. */
    static final String TOPK_INDICES = "_topk_indices";
    static final String TOPK_WEIGHTS = "_topk_weights";

    private VbLoraKeys() {}

    static String logitsA(String path) {
        return PeftKeys.of(path, LOGITS_A);
    }

    static String logitsB(String path) {
        return PeftKeys.of(path, LOGITS_B);
    }
}
