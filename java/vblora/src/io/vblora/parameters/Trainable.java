package io.vblora.parameters;

import io.vblora.InputException;
import io.vblora.kernels.Device;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.StepState;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;

/**
 * Parameters that are trained together: their gradients, AdamW's state, and all of them by name. Whoever runs the model
 * adds to the gradients and knows nothing of the rest.
 *
 * <p>An optimizer step is: {@link #zeroGradient}, forward and backward passes that add gradients, {@link #backward},
 * {@link #sumSquares} and {@code Optimizer.clip}, {@link #update}. Where an adapter has several,
 * each of these is called on all of them before the next. Used by one thread at a time.
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
     * Allocates gradients and optimizer state, the moments zero. Calling it again begins anew.
     *
     * @param weightDecay AdamW's weight decay, which decides how the state of VB-LoRA's logits is kept
     * @throws InputException if this is not trainable or a parameter is not finite, naming it
     */
    void enableTraining(Stream stream, double weightDecay);

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

    /** AdamW on all parameters with the step's groups, and all that is made from them made anew. */
    void update(Stream stream, StepState step);

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
     * makes anew all that is made from them. AdamW's moments stay as they are, where training is enabled. Not for
     * top-k-only adapters.
     *
     * @throws InputException naming the parameter that is missing, of another shape or not finite; nothing has changed
     *         then
     */
    void loadParameters(Stream stream, Map<String, Tensor> values);

    /** The gradients that {@link #backward} left, dense, under the parameters' names: for checks. */
    NamedTensors gradients(Stream stream);

    /** AdamW's two moments, dense, under the parameters' names. */
    Moments moments(Stream stream);

    /**
     * Sets AdamW's moments under the parameters' names (others are ignored), to continue a run.
     *
     * @throws InputException if one is missing or has another shape
     */
    void loadMoments(Stream stream, Map<String, Tensor> expAvg, Map<String, Tensor> expAvgSq);

    /** AdamW's state under the parameters' names: first and second moments. */
    record Moments(NamedTensors expAvg, NamedTensors expAvgSq) implements AutoCloseable {
        /** What {@code fill} put into both, or nothing if it failed. */
        public static Moments of(Device device, BiConsumer<NamedTensors, NamedTensors> fill) {
            Moments moments = new Moments(new NamedTensors(device), new NamedTensors(device));
            try {
                fill.accept(moments.expAvg, moments.expAvgSq);
                return moments;
            } catch (RuntimeException | Error e) {
                moments.close();
                throw e;
            }
        }

        @Override
        public void close() {
            expAvg.close();
            expAvgSq.close();
        }
    }

    @Override
    void close();
}
