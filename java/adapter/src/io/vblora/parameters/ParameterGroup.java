package io.vblora.parameters;

/**
 * Parameters that learn at the same rate, and of which either all or none decay. Whoever has parameters says which
 * groups they belong to; there is no list of all groups.
 *
 * @param name for messages
 * @param learningRate name of its learning rate in training arguments, metrics and, with dashes, options
 * @param defaultLearningRate the rate if training arguments do not set it
 * @param decays whether weight decay applies, as it does to everything but biases and norms in Hugging Face's Trainer
 * (get_decay_parameter_names)
 */
public record ParameterGroup(String name, String learningRate, double defaultLearningRate, boolean decays) {
    /** LoRA's A and B, and matrices of the base model that are trained whole. */
    public static final ParameterGroup MATRICES = new ParameterGroup("matrices", "learning_rate", 2e-4, true);

    /** Biases and weights of norms of the base model. */
    public static final ParameterGroup VECTORS = new ParameterGroup("vectors", "learning_rate", 2e-4, false);
}
