package io.vblora.model;

import io.vblora.kernels.Arena;
import io.vblora.kernels.Tensor;
import java.util.ArrayList;
import java.util.List;

/**
 * The layers of a model. Gradients go down to the lowest layer that has something to train, or through all of them if
 * what lies below has; so layers below that one keep nothing of their forward pass.
 *
 * @param <S> what each layer keeps
 */
public final class LayerStack<S> {
    private final List<ModelLayer<S>> layers;

    public LayerStack(List<? extends ModelLayer<S>> layers) {
        this.layers = List.copyOf(layers);
    }

    public List<ModelLayer<S>> layers() {
        return layers;
    }

    /** Whether a layer has something to train. */
    public boolean isTrained(Updates updates) {
        return lowestTrained(updates) < layers.size();
    }

    /** The number of layers if none is trained. */
    private int lowestTrained(Updates updates) {
        int lowest = 0;
        while (lowest < layers.size() && !updates.holdsAnyOf(layers.get(lowest))) {
            lowest++;
        }
        return lowest;
    }

    /** The output of the last layer [tokens, hidden] for x [tokens, hidden], which is overwritten. */
    public Tensor forward(Pass pass, Tokens batch, Tensor x) {
        return layers.isEmpty() ? x : forward(pass, batch, x, pass.arena().floats(x.shape()), layers);
    }

    /** @param y of the same shape as x */
    private Tensor forward(Pass pass, Tokens batch, Tensor x, Tensor y, List<ModelLayer<S>> part) {
        Arena arena = pass.arena();
        Tensor in = x;
        Tensor out = y;
        for (ModelLayer<S> layer : part) {
            long mark = arena.mark();
            layer.forward(pass, batch, in, out);
            arena.release(mark);
            Tensor swap = in;
            in = out;
            out = swap;
        }
        return in;
    }

    /**
     * Does what {@link #forward(Pass, Tokens, Tensor)} does, and keeps what a backward pass then reads.
     *
     * @param inputTrained whether what x was made of is trained
     */
    public Tape forwardToTrain(Pass pass, Tokens batch, Tensor x, boolean inputTrained) {
        int lowest = inputTrained ? 0 : lowestTrained(pass.updates());
        Tape tape = new Tape(lowest, inputTrained);
        Tensor in = lowest == 0 ? x
                : forward(pass, batch, x, pass.arena().floats(x.shape()), layers.subList(0, lowest));
        for (ModelLayer<S> layer : layers.subList(lowest, layers.size())) {
            Tensor out = pass.arena().floats(x.shape());
            tape.saved.add(layer.forward(pass, batch, in, out));
            in = out;
        }
        tape.output = in;
        return tape;
    }

    /** A forward pass, for its backward pass. */
    public final class Tape {
        private final List<S> saved = new ArrayList<>();
        private final int lowest;
        private final boolean inputTrained;
        private Tensor output;

        private Tape(int lowest, boolean inputTrained) {
            this.lowest = lowest;
            this.inputTrained = inputTrained;
        }

        /** The output of the last layer [tokens, hidden]. */
        public Tensor output() {
            return output;
        }

        /**
         * Turns dx [tokens, hidden], the gradient of the output, into that of the input if what lies below is trained,
         * and adds the adapter's gradients.
         */
        public void backward(Pass pass, Tokens batch, Tensor dx) {
            for (int i = layers.size() - 1; i >= lowest; i--) {
                layers.get(i).backward(pass, batch, saved.get(i - lowest), dx, i > lowest || inputTrained);
            }
        }
    }
}
