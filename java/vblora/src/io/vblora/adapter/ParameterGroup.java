package io.vblora.adapter;

/** Parameters that share AdamW's constants: each is a group of a {@link io.vblora.kernels.ops.StepState}. */
public enum ParameterGroup {
    /** VB-LoRA's vector bank. */
    VECTOR_BANK,
    /** VB-LoRA's logits. */
    LOGITS,
    /** All others that make low-rank updates: LoRA's A and B. */
    OTHER,
    /** Modules that are trained whole. */
    HEAD;

    /** Number of the group in a step. */
    public int index() {
        return ordinal();
    }
}
