package io.vblora.model;

import io.vblora.adapter.Adapter;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Memory;
import io.vblora.kernels.ops.Transformer;

/**
 * A table of embeddings [rows, hidden].
 *
 * @param paddingRow the row that never learns, as Hugging Face's padding_idx; -1 for none
 */
record Embedding(Parameter weight, int paddingRow) {
    void attach(Adapter adapter) {
        weight.attach(adapter);
    }

    boolean isTrained() {
        return weight.isTrained();
    }

    /** x [tokens, hidden] = (or +=) the rows of ids [tokens]. */
    void forward(Execution run, Tensor ids, Tensor x, boolean accumulate) {
        Transformer.embeddingForward(run.stream(), ids, weight.value(), accumulate, x);
    }

    /** Adds the table's gradient to the adapter's, if that holds it; dx [tokens, hidden] is that of what was read. */
    void backward(Execution run, Tensor ids, Tensor dx) {
        if (!weight.isTrained()) {
            return;
        }
        Tensor gradient = weight.gradient();
        Transformer.embeddingBackward(run.stream(), ids, dx, gradient);
        if (paddingRow >= 0) {
            long hidden = weight.dimension(1);
            Memory.zero(run.stream(), gradient.view(paddingRow * hidden, hidden));
        }
    }
}
