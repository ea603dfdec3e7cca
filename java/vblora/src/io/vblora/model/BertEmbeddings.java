package io.vblora.model;

import io.vblora.kernels.Tensor;
import java.util.List;
import java.util.stream.Stream;

/** What goes into the first layer: the normalised sum of the embeddings of word, position and token type. */
record BertEmbeddings(Embedding word, Embedding position, Embedding tokenType, LayerNorm norm)
        implements ModelPart {
    /** What the backward pass reads of the forward pass; tensors of the arena. */
    record Saved(Tensor tokenTypes, Tensor sum, LayerNorm.Saved statistics) {}

    @Override
    public List<Parameter> parameters() {
        return Stream.of(word, position, tokenType, norm).flatMap(part -> part.parameters().stream()).toList();
    }

    /**
     * x [tokens, hidden], written.
     *
     * @param tokenTypeIds [tokens]
     */
    void forward(Execution run, Inputs batch, int[] tokenTypeIds, Tensor x) {
        long mark = run.arena().mark();
        normalise(run, batch, tokenTypeIds, x, x);
        run.arena().release(mark);
    }

    /** As {@link #forward}, of what {@link #backward} then reads. */
    Saved forwardToTrain(Execution run, Inputs batch, int[] tokenTypeIds, Tensor x) {
        return normalise(run, batch, tokenTypeIds, run.arena().floats(x.shape()), x);
    }

    /** @param sum written, and may be x */
    private Saved normalise(Execution run, Inputs batch, int[] tokenTypeIds, Tensor sum, Tensor x) {
        Tensor types = run.ints(tokenTypeIds);
        word.forward(run, batch.ids(), sum, false);
        tokenType.forward(run, types, sum, true);
        position.forward(run, batch.positions(), sum, true);
        return new Saved(types, sum, norm.forward(run, sum, x));
    }

    /** Adds the adapter's gradients; dx [tokens, hidden], the gradient of x, is undefined afterwards. */
    void backward(Execution run, Inputs batch, Saved saved, Tensor dx) {
        norm.backward(run, saved.sum, saved.statistics, dx);
        word.backward(run, batch.ids(), dx);
        tokenType.backward(run, saved.tokenTypes, dx);
        position.backward(run, batch.positions(), dx);
    }
}
