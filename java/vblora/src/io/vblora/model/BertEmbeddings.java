package io.vblora.model;

import io.vblora.kernels.Tensor;
import java.util.List;
import java.util.stream.Stream;

/** What goes into the first layer: the normalised sum of the embeddings of word, position and token type. */
record BertEmbeddings(Embedding word, Embedding position, Embedding tokenType, LayerNorm norm)
        implements ModelPart {
    /** What the backward pass reads of the forward pass; tensors of the arena. */
    record Saved(Tensor sum, LayerNorm.Saved statistics) {}

    @Override
    public List<Parameter> parameters() {
        return Stream.of(word, position, tokenType, norm).flatMap(part -> part.parameters().stream()).toList();
    }

    /** x [tokens, hidden], written. */
    void forward(Pass pass, Tokens batch, Tensor x) {
        long mark = pass.arena().mark();
        normalise(pass, batch, x, x);
        pass.arena().release(mark);
    }

    /** Does what {@link #forward} does, and keeps what {@link #backward} then reads. */
    Saved forwardToTrain(Pass pass, Tokens batch, Tensor x) {
        return normalise(pass, batch, pass.arena().floats(x.shape()), x);
    }

    /** @param sum written, and may be x */
    private Saved normalise(Pass pass, Tokens batch, Tensor sum, Tensor x) {
        Rows rows = batch.rows();
        word.forward(pass, rows, batch.ids(), sum, false);
        tokenType.forward(pass, rows, batch.types(), sum, true);
        position.forward(pass, rows, batch.positions(), sum, true);
        return new Saved(sum, norm.forward(pass, rows, sum, x));
    }

    /** Adds the adapter's gradients; dx [tokens, hidden], the gradient of x, is undefined afterwards. */
    void backward(Pass pass, Tokens batch, Saved saved, Tensor dx) {
        norm.backward(pass, saved.sum, saved.statistics, dx);
        word.backward(pass, batch.ids(), dx);
        tokenType.backward(pass, batch.types(), dx);
        position.backward(pass, batch.positions(), dx);
    }
}
