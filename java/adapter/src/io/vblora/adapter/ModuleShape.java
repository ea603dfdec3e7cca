package io.vblora.adapter;

/**
 * A linear layer that a model offers to adapters.
 *
 * @param path its name in the model, as in Hugging Face's weights without {@code .weight}
 * @param inFeatures length of its input
 * @param outFeatures length of its output
 */
public record ModuleShape(String path, long inFeatures, long outFeatures) {}
