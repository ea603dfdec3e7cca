package io.vblora.optimizer;

import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.StepState;
import io.vblora.parameters.ParameterGroup;
import java.util.Map;
import java.util.function.ToDoubleFunction;

/**
 * What an optimizer remembers of the parameters that it is attached to. Before a step is uploaded, {@link #prepare}
 * sets its constants; after the backward passes and the clipping, {@link #update} changes the parameters, and each
 * {@link io.vblora.parameters.Trainable#updated} follows. Used by one thread at a time.
 */
public interface OptimizerState extends AutoCloseable {
    /** How many groups of AdamW's constants the step needs to have; at least one. */
    int groups();

    /** Sets the constants of a step, whose number is set. */
    void prepare(StepState step, ToDoubleFunction<ParameterGroup> learningRates);

    /** Changes all parameters from their gradients, which are first scaled by the step's gradient scale and clipped. */
    void update(Stream stream, StepState step);

    /** All that is remembered, dense, under the names of the parameters: to go on from later. The caller closes it. */
    OptimizerTensors tensors(Stream stream);

    /**
     * Goes on from what {@link #tensors} gave: by quantity, then by the name of the parameter; others are ignored.
     *
     * @throws io.vblora.InputException if one is missing or has another shape
     */
    void load(Stream stream, Map<String, Map<String, Tensor>> tensors);

    /** Frees the memory. What the state has kept of the parameters themselves, they have again. */
    @Override
    void close();
}
