package io.vblora.adapter;

import io.vblora.InputException;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Memory;
import io.vblora.kernels.ops.StepState;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;

/**
 * The seam between adapter methods and everything else: turns trainable parameters into the packed A and Bᵀ of all
 * modules, and the packed gradients back into parameter gradients and updates. Whoever runs the model reads A and Bᵀ,
 * adds to dA and dBᵀ, and knows nothing of the method.
 *
 * <p>An optimizer step is: {@link #zeroGradient}, forward and backward passes that add to {@link #packedGradient},
 * {@link #backward}, {@link #sumSquares} and {@code Optimizer.clip}, {@link #update}. Used by one thread at a time.
 */
public interface Composition extends AutoCloseable {
    /** The groups that the parameters of this method belong to. */
    List<ParameterGroup> groups();

    /**
     * A [r, in] and Bᵀ [r, out] of all modules one after the other, float32; always composed from the current
     * parameters.
     */
    Tensor packed();

    /** Counts changes of {@link #packed()}. */
    long version();

    /** Parameters in all, as PEFT counts them with all logits. */
    long parameterCount();

    /**
     * Whether gradients and updates are possible at all; a VB-LoRA adapter stored with top-k weights alone has no
     * logits.
     */
    boolean trainable();

    /**
     * Allocates gradients and optimizer state, the moments zero. Calling it again begins anew.
     *
     * @param weightDecay AdamW's weight decay of the logits, which decides how their state is kept
     * @throws InputException if the adapter is not trainable or a parameter is not finite, naming it
     */
    void enableTraining(Stream stream, double weightDecay);

    /**
     * The gradient of {@link #packed()}, to be added to.
     *
     * @throws IllegalStateException unless training is enabled
     */
    Tensor packedGradient();

    /** Sets {@link #packedGradient()} to zero, before the first micro-batch of a step. */
    default void zeroGradient(Stream stream) {
        Memory.zero(stream, packedGradient());
    }

    /** From the packed gradient to the gradients of all parameters, which are overwritten. */
    void backward(Stream stream);

    /** sum (float64, one element, device memory) += the sum of squares of all parameter gradients. */
    void sumSquares(Stream stream, Tensor sum);

    /** AdamW on all parameters with the step's groups, the next selection, and {@link #packed()} composed anew. */
    void update(Stream stream, StepState step);

    /**
     * Waits for the stream and checks that the last update left usable parameters.
     *
     * @throws InputException naming the parameter that is not finite
     */
    void verify(Stream stream);

    /** All parameters under PEFT's names and in its shapes, all logits included. Not for top-k-only adapters. */
    NamedTensors parameters(Stream stream);

    /** The gradients that {@link #backward} left, dense, under the parameters' names: for checks. */
    NamedTensors gradients(Stream stream);

    /** AdamW's two moments, dense, under the parameters' names. */
    Moments moments(Stream stream);

    /**
     * Sets AdamW's moments under the parameters' names, to continue a run.
     *
     * @throws InputException if one is missing or has another shape
     */
    void loadMoments(Stream stream, Map<String, Tensor> expAvg, Map<String, Tensor> expAvgSq);

    /** AdamW's state under the parameters' names: first and second moments. */
    record Moments(NamedTensors expAvg, NamedTensors expAvgSq) implements AutoCloseable {
        /** What {@code fill} put into both, or nothing if it failed. */
        static Moments of(BiConsumer<NamedTensors, NamedTensors> fill) {
            Moments moments = new Moments(new NamedTensors(), new NamedTensors());
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
