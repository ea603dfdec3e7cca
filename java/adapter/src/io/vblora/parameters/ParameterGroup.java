package io.vblora.parameters;

/**
 * Parameters that learn at the same rate and decay or not. Whoever has parameters says what groups they belong to;
 * which groups there are is nobody's list.
 *
 * @param name for messages
 * @param learningRate name of its learning rate in training arguments, metrics and, with dashes, options
 * @param defaultLearningRate what that is where training arguments do not say
 * @param decays whether weight decay applies to it: to all but biases and norms, as Hugging Face's Trainer has it
 * (get_decay_parameter_names)
 */
public record ParameterGroup(String name, String learningRate, double defaultLearningRate, boolean decays) {
    /** LoRA's A and B, and matrices of the base model that are trained whole. */
    public static final ParameterGroup MATRICES = new ParameterGroup("matrices", "learning_rate", 2e-4, true);

    /** Biases, and weights of norms, of the base model. */
    public static final ParameterGroup VECTORS = new ParameterGroup("vectors", "learning_rate", 2e-4, false);
}
