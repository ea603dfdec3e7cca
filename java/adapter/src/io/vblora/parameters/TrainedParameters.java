package io.vblora.parameters;

import io.vblora.kernels.Tensor;

/**
 * Parameters of one group in one buffer, with their gradients: what an optimizer is attached to. There are two kinds,
 * each with what an optimizer needs of it.
 */
public sealed interface TrainedParameters permits DenseParameters, SelectedLogits {
    ParameterGroup group();

    /** Under which names they are stored, and where they lie in {@link #values}. */
    ParameterLayout layout();

    /** float32. */
    Tensor values();
}
