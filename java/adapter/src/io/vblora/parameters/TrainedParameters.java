package io.vblora.parameters;

import io.vblora.kernels.Tensor;

/**
 * Parameters of one group in one buffer, with their gradients, for an optimizer to change. There are two kinds, which
 * offer an optimizer different things.
 */
public sealed interface TrainedParameters permits DenseParameters, SelectedLogits {
    ParameterGroup group();

    /** The names under which they are stored, and where they lie in {@link #values}. */
    ParameterLayout layout();

    /** The parameters themselves, float32. */
    Tensor values();
}
