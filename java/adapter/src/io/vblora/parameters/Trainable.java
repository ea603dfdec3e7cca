package io.vblora.parameters;

import io.vblora.InputException;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import java.util.List;
import java.util.Map;

/**
 * Parameters that are trained together, with their gradients. Whoever runs the model adds to the gradients and needs to
 * know nothing else; an optimizer changes what {@link #trained} returns.
 *
 * <p>An optimizer step has three parts:
 *
 * <ol>
 *   <li>What comes before the device's work: the optimizer prepares the step, and the step is uploaded.
 *   <li>The device's work: {@link #zeroGradient}, forward and backward passes that add gradients, {@link #backward},
 *       {@link #sumSquares} and the clipping, the optimizer's update, and {@link #refresh}. These give ops to the
 *       stream and change nothing that the host can see, so that the update can be captured into a graph and replayed.
 *   <li>What the host notes about an update, whether its ops were given one by one or replayed: the optimizer's notes,
 *       and {@link #updated}.
 * </ol>
 *
 * <p>If an adapter has several trainables, each of these is called on all of them before the next one. Used by one
 * thread at a time.
 */
public interface Trainable extends AutoCloseable {
    /** The groups that the parameters belong to. */
    List<ParameterGroup> groups();

    /** The number of parameters, as PEFT counts them: those of VB-LoRA include all logits. */
    long parameterCount();

    /**
     * Whether gradients and updates are possible at all. They are not for a VB-LoRA adapter that was stored with top-k
     * weights alone, which has no logits.
     */
    boolean trainable();

    /** A number that grows whenever the parameters change, and with them what is made from them. */
    long version();

    /**
     * Allocates gradients. When this is called again, it starts afresh, and optimizers have to be attached again.
     *
     * @throws InputException if this is not trainable, or naming a parameter that is not finite
     */
    void enableTraining(Stream stream);

    /**
     * The parameters of each group, with the gradients that {@link #backward} leaves, for an optimizer that is being
     * attached. Values that a previous optimizer has kept elsewhere are brought back first, and its state may only be
     * closed from then on. Waits for the stream.
     *
     * @throws IllegalStateException unless training is enabled
     */
    List<TrainedParameters> trained(Stream stream);

    /**
     * Zeroes the gradients to which the model's passes add, before the first micro-batch of a step.
     *
     * @throws IllegalStateException unless training is enabled
     */
    void zeroGradient(Stream stream);

    /** Computes the gradients of all parameters, which are overwritten, from what the passes have added. */
    void backward(Stream stream);

    /** Adds the squares of all gradients of the parameters to {@code sum}, float64 [1] in device memory. */
    void sumSquares(Stream stream, Tensor sum);

    /** Makes again what is made from the parameters, after an optimizer has changed them. */
    void refresh(Stream stream);

    /** Notes that the parameters were changed by an update, and with them what is made from them. */
    void updated();

    /**
     * Waits for the stream and checks that the last update left usable parameters.
     *
     * @throws InputException naming the parameter that is not finite
     */
    void verify(Stream stream);

    /** All parameters under PEFT's names and in its shapes, including all logits. Not for top-k-only adapters. */
    NamedTensors parameters(Stream stream);

    /**
     * Sets all parameters, which have the names and shapes that {@link #parameters} returns, and makes again what is
     * made from them. Other tensors of the map are ignored, and what an optimizer remembers stays as it is. Not for
     * top-k-only adapters.
     *
     * @throws InputException naming a parameter that is missing, has another shape or is not finite; nothing has been
     *         changed then
     */
    void loadParameters(Stream stream, Map<String, Tensor> values);

    /**
     * The gradients that {@link #backward} has left, as dense tensors under the parameters' names. Training has no use
     * for them; they are for comparing a model's gradients with those of another implementation.
     */
    NamedTensors gradients(Stream stream);

    @Override
    void close();
}
