package io.vblora.adapter;

/**
 * A linear layer that a model offers to adapters.
 *
 * @param path its name in the model, as in Hugging Face's weights without {@code .weight}
 * @param inFeatures length of its input
 * @param outFeatures length of its output
 * @param fanInFanOut whether the model stores its weight as [in, out], as GPT-2's Conv1D does, and not as [out, in];
 * PEFT's name. Adapters are stored alike for both, and an adapter that was read without its model does not know it
 */
public record ModuleShape(String path, long inFeatures, long outFeatures, boolean fanInFanOut) {
    /** A layer whose weight is [out, in]. */
    public ModuleShape(String path, long inFeatures, long outFeatures) {
        this(path, inFeatures, outFeatures, false);
    }

    /** Whether another layer has the same numbers of inputs and outputs. */
    boolean hasDimensionsOf(ModuleShape other) {
        return inFeatures == other.inFeatures && outFeatures == other.outFeatures;
    }
}
