package io.vblora.adapter;

/** Parameters that share AdamW's constants: each is a group of a {@link io.vblora.kernels.ops.StepState}. */
public enum ParameterGroup {
    /** VB-LoRA's vector bank. */
    VECTOR_BANK,
    /** VB-LoRA's logits. */
    LOGITS,
    /** All others that make low-rank updates: LoRA's A and B. */
    OTHER,
    /** Weights of modules that are trained whole. */
    HEAD,
    /** Biases of modules that are trained whole. */
    HEAD_BIAS;

    /**
     * Whether weight decay applies to it: to all but biases, as Hugging Face's Trainer has it
     * (get_decay_parameter_names).
     */
    public boolean decays() {
        return this != HEAD_BIAS;
    }

    /** Number of the group in a step. */
    public int index() {
        return ordinal();
    }
}
