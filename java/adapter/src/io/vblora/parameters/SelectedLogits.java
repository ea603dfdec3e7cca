package io.vblora.parameters;

import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.AdmixtureShape;

/**
 * Logits of which each row mixes its topk largest: only these have a gradient, and an update may select others. What an
 * optimizer may rely on, and what it owes:
 *
 * <ul>
 *   <li>{@code gradient} [rows, topk] is the gradient at {@code indices}; at all other logits it is zero.
 *   <li>It changes {@code values} [rows, num_vectors]. Whoever owns the logits then selects anew, unless the optimizer
 *       has already done so on the way, into {@code indices}, {@code weights} and {@code badRow}, and says it with
 *       {@link #selected}.
 *   <li>It may keep entries elsewhere, so that {@code values} is out of date, as long as it is their {@link Keeper}.
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
    private boolean selected;

    /** Has the present values of logits. */
    public interface Keeper {
        /** Brings {@link SelectedLogits#values} up to date. */
        void store(Stream stream);

        /** Runs what overwrites all {@link SelectedLogits#values}, and goes on from these. Waits for the stream. */
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

    /** From now on this optimizer's state has the present values. */
    public void keptBy(Keeper newKeeper) {
        keeper = newKeeper;
    }

    /** Whether this one has the present values. */
    public boolean isKeptBy(Keeper candidate) {
        return keeper == candidate;
    }

    /** Brings {@link #values} up to date. */
    public void store(Stream stream) {
        if (keeper != null) {
            keeper.store(stream);
        }
    }

    /** Brings {@link #values} up to date, and lets nobody else have them. */
    public void takeBack(Stream stream) {
        try {
            store(stream);
        } finally {
            keeper = null; // which may be closed, whether it could or not
        }
    }

    /** Runs what overwrites all values. */
    public void rewrite(Stream stream, Runnable write) {
        if (keeper == null) {
            write.run();
        } else {
            keeper.rewrite(stream, write);
        }
    }

    /** Says that the optimizer's update has made the next selection. */
    public void selected() {
        selected = true;
    }

    /** Whether the last update has made the selection; asked once after each. */
    public boolean takeSelected() {
        boolean made = selected;
        selected = false;
        return made;
    }
}
