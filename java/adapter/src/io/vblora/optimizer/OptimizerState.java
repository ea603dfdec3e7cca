package io.vblora.optimizer;

import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.StepState;
import io.vblora.parameters.ParameterGroup;
import java.util.Map;
import java.util.function.ToDoubleFunction;

/**
 * What an optimizer remembers about the parameters that it is attached to. It takes part in a step three times, so that
 * the device's part can be captured into a graph once and replayed in later steps:
 *
 * <ol>
 *   <li>{@link #prepare} is what has to happen before the device works on the step.
 *   <li>{@link #update}, after the backward passes and the clipping, gives ops to the stream and changes nothing of the
 *       host's.
 *   <li>{@link #updated} is what the host notes when the ops have been given to the stream, or replayed.
 * </ol>
 *
 * <p>{@link io.vblora.parameters.Trainable} has the order of a whole step. Used by one thread at a time.
 */
public interface OptimizerState extends AutoCloseable {
    /**
     * Uploads the constants of a step, and makes room for what the update may add. This is the one part that may
     * allocate memory and wait for the stream. It may replace memory that {@link #update} uses: an update that was
     * captured before must be captured again then. Between this and the update, nothing is loaded, neither here nor as
     * parameters.
     *
     * @param step its number, from 1
     */
    void prepare(Stream stream, long step, ToDoubleFunction<ParameterGroup> learningRates);

    /**
     * Changes all parameters by their gradients, to which the step's gradient scale and clip factor are applied first.
     * All that depends on the step is read from device memory.
     *
     * @param step has been uploaded
     */
    void update(Stream stream, StepState step);

    /** Notes that {@link #update}'s ops were given to the stream for the step that was prepared. Does not wait. */
    void updated(Stream stream);

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
