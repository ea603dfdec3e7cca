package io.vblora.parameters;

import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.AdmixtureShape;

/**
 * Logits of which each row mixes its topk largest. Only these have a gradient, and an update may cause others to be
 * selected. This is what an optimizer may rely on, and what it has to do:
 *
 * <ul>
 *   <li>{@code gradient} [rows, topk] is the gradient at {@code indices}; at all other logits it is zero.
 *   <li>It changes {@code values} [rows, num_vectors]. The owner of the logits then selects again, unless the optimizer
 *       has said by {@link #selectedByOptimizer()} that its updates also write the new selection to {@code indices},
 *       {@code weights} and {@code badRow}.
 *   <li>It may keep entries elsewhere, so that {@code values} is out of date, as long as it is the {@link Keeper}.
 * </ul>
 */
public final class SelectedLogits implements TrainedParameters {
    private final ParameterGroup group;
    private final ParameterLayout layout;
    private final AdmixtureShape shape;
    private final Tensor values;
    private final Tensor gradient;
    private final Tensor indices;
    private final Tensor weights;
    private final Tensor badRow;
    private Keeper keeper;
    private boolean selectedByOptimizer;

    /** An optimizer's state that has the present values of the logits. */
    public interface Keeper {
        /** Brings {@link SelectedLogits#values} up to date. */
        void store(Stream stream);

        /**
         * Runs {@code write}, which overwrites all {@link SelectedLogits#values}, and goes on from the new ones. Waits
         * for the stream.
         */
        void rewrite(Stream stream, Runnable write);
    }

    /**
     * @param values float32 [rows, num_vectors]
     * @param gradient float32 [rows, topk]
     * @param indices int32 [rows, topk]
     * @param weights float32 [rows, topk]
     * @param badRow int64 [1]
     */
    public SelectedLogits(ParameterGroup group, ParameterLayout layout, AdmixtureShape shape, Tensor values,
            Tensor gradient, Tensor indices, Tensor weights, Tensor badRow) {
        this.group = group;
        this.layout = layout;
        this.shape = shape;
        this.values = values;
        this.gradient = gradient;
        this.indices = indices;
        this.weights = weights;
        this.badRow = badRow;
    }

    @Override
    public ParameterGroup group() {
        return group;
    }

    @Override
    public ParameterLayout layout() {
        return layout;
    }

    @Override
    public Tensor values() {
        return values;
    }

    public AdmixtureShape shape() {
        return shape;
    }

    public Tensor gradient() {
        return gradient;
    }

    public Tensor indices() {
        return indices;
    }

    public Tensor weights() {
        return weights;
    }

    public Tensor badRow() {
        return badRow;
    }

    /** Says that this optimizer's state has the present values from now on. */
    public void keptBy(Keeper newKeeper) {
        keeper = newKeeper;
    }

    /** Whether this is the optimizer's state that has the present values. */
    public boolean isKeptBy(Keeper candidate) {
        return keeper == candidate;
    }

    /** Brings {@link #values} up to date. */
    public void store(Stream stream) {
        if (keeper != null) {
            keeper.store(stream);
        }
    }

    /**
     * Brings {@link #values} up to date. From then on no optimizer keeps present values, and no optimizer's updates
     * select.
     */
    public void takeBack(Stream stream) {
        try {
            store(stream);
        } finally {
            keeper = null; // it may be closed now, even if it could not bring the values up to date
            selectedByOptimizer = false;
        }
    }

    /** Runs {@code write}, which overwrites all values. */
    public void rewrite(Stream stream, Runnable write) {
        if (keeper == null) {
            write.run();
        } else {
            keeper.rewrite(stream, write);
        }
    }

    /** Says that every update of the optimizer that is being attached also makes the next selection. */
    public void selectedByOptimizer() {
        selectedByOptimizer = true;
    }

    /** Whether updates also make the selection. */
    public boolean areSelectedByOptimizer() {
        return selectedByOptimizer;
    }
}
