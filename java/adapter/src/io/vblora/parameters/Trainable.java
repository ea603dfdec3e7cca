package io.vblora.parameters;

import io.vblora.InputException;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import java.util.List;
import java.util.Map;

/**
 * Parameters that are trained together: their gradients, and all of them by name. Whoever runs the model adds to the
 * gradients and knows nothing of the rest; an optimizer changes what {@link #trained} gives it.
 *
 * <p>An optimizer step is: {@link #zeroGradient}, forward and backward passes that add gradients, {@link #backward},
 * {@link #sumSquares} and the clipping, the optimizer's update, {@link #updated}. Where an adapter has several, each of
 * these is called on all of them before the next. Used by one thread at a time.
 */
public interface Trainable extends AutoCloseable {
    /** The groups that the parameters belong to. */
    List<ParameterGroup> groups();

    /** Parameters in all, as PEFT counts them: VB-LoRA's with all logits. */
    long parameterCount();

    /**
     * Whether gradients and updates are possible at all; a VB-LoRA adapter stored with top-k weights alone has no
     * logits.
     */
    boolean trainable();

    /** Counts changes of the parameters, and so of what is made from them. */
    long version();

    /**
     * Allocates gradients. Calling it again begins anew: optimizers have to be attached again then.
     *
     * @throws InputException if this is not trainable or a parameter is not finite, naming it
     */
    void enableTraining(Stream stream);

    /**
     * What an optimizer that is being attached changes: the parameters of each group, with the gradients that
     * {@link #backward} leaves. Values that an optimizer attached before has kept elsewhere are brought back first;
     * that one may only be closed from then on. Waits for the stream.
     *
     * @throws IllegalStateException unless training is enabled
     */
    List<TrainedParameters> trained(Stream stream);

    /**
     * Sets the gradients that the model's passes add to to zero, before the first micro-batch of a step.
     *
     * @throws IllegalStateException unless training is enabled
     */
    void zeroGradient(Stream stream);

    /** From what the passes have added to the gradients of all parameters, which are overwritten. */
    void backward(Stream stream);

    /** sum (float64, one element, device memory) += the sum of squares of all parameter gradients. */
    void sumSquares(Stream stream, Tensor sum);

    /** An optimizer has changed the parameters: makes anew what is made from them. */
    void updated(Stream stream);

    /**
     * Waits for the stream and checks that the last update left usable parameters.
     *
     * @throws InputException naming the parameter that is not finite
     */
    void verify(Stream stream);

    /** All parameters under PEFT's names and in its shapes, all logits included. Not for top-k-only adapters. */
    NamedTensors parameters(Stream stream);

    /**
     * Sets all parameters, named and shaped as {@link #parameters} gives them (others in the map are ignored), and
     * makes anew what is made from them. What an optimizer remembers stays as it is. Not for top-k-only adapters.
     *
     * @throws InputException naming the parameter that is missing, of another shape or not finite; nothing has changed
     *         then
     */
    void loadParameters(Stream stream, Map<String, Tensor> values);

    /** The gradients that {@link #backward} left, dense, under the parameters' names: for checks. */
    NamedTensors gradients(Stream stream);

    @Override
    void close();
}
