package io.vblora.optimizer;

import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.StepState;
import io.vblora.parameters.ParameterGroup;
import java.util.Map;
import java.util.function.ToDoubleFunction;

/**
 * What an optimizer remembers about the parameters that it is attached to. Before a step is uploaded, {@link #prepare}
 * sets its constants. After the backward passes and the clipping, {@link #update} changes the parameters, and
 * {@link io.vblora.parameters.Trainable#updated} is then called on all of them. Used by one thread at a time.
 */
public interface OptimizerState extends AutoCloseable {
    /** The number of groups of constants that the step must have, at least one. */
    int groups();

    /** Sets the constants of a step whose number has been set. */
    void prepare(StepState step, ToDoubleFunction<ParameterGroup> learningRates);

    /**
     * Changes all parameters by their gradients, to which the step's gradient scale and clip factor are applied first.
     */
    void update(Stream stream, StepState step);

    /** Everything that is remembered, as dense tensors under the parameters' names. The caller closes it. */
    OptimizerTensors tensors(Stream stream);

    /**
     * Goes on from what {@link #tensors} has returned, by quantity and then by the parameter's name. Other tensors are
     * ignored.
     *
     * @throws io.vblora.InputException if one is missing or has another shape
     */
    void load(Stream stream, Map<String, Map<String, Tensor>> tensors);

    /** Frees the memory. Values of the parameters that the state has kept are written back first. */
    @Override
    void close();
}
