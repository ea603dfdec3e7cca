package io.vblora.parameters;

import io.vblora.kernels.Tensor;

/**
 * Parameters that all have a gradient. An optimizer reads {@code gradient} and changes {@code values}.
 *
 * @param gradient float32, laid out as {@code values}
 */
public record DenseParameters(ParameterGroup group, ParameterLayout layout, Tensor values, Tensor gradient)
        implements TrainedParameters {
}
