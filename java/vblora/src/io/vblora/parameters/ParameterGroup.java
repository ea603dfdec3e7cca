package io.vblora.parameters;

/** Parameters that share AdamW's constants: each is a group of a {@link io.vblora.kernels.ops.StepState}. */
public enum ParameterGroup {
    /** VB-LoRA's vector bank. */
    VECTOR_BANK,
    /** VB-LoRA's logits. */
    LOGITS,
    /** LoRA's A and B, and matrices of the base model that are trained whole. */
    OTHER,
    /** Weights of heads. */
    HEAD,
    /** Biases of heads. */
    HEAD_BIAS,
    /** Biases, and weights of norms, of the base model. */
    BIAS;

    /**
     * Whether weight decay applies to it: to all but biases and norms, as Hugging Face's Trainer has it
     * (get_decay_parameter_names).
     */
    public boolean decays() {
        return this != HEAD_BIAS && this != BIAS;
    }

    /** Number of the group in a step. */
    public int index() {
        return ordinal();
    }
}
