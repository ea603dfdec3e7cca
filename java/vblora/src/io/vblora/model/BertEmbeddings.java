package io.vblora.model;

import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Transformer;

/**
 * What goes into the first layer: the normalised sum of the embeddings of word, position and token type. Tables [rows,
 * hidden] in any native type.
 */
record BertEmbeddings(Tensor word, Tensor position, Tensor tokenType, LayerNorm norm) {
    /**
     * x [tokens, hidden], written.
     *
     * @param tokenTypeIds [tokens]
     */
    void forward(Execution run, TokenBatch batch, int[] tokenTypeIds, Tensor x) {
        long mark = run.arena().mark();
        Tensor types = run.ints(tokenTypeIds);
        Transformer.embeddingForward(run.stream(), batch.ids(), word, false, x);
        Transformer.embeddingForward(run.stream(), types, tokenType, true, x);
        Transformer.embeddingForward(run.stream(), batch.positions(), position, true, x);
        norm.forward(run, x, x);
        run.arena().release(mark);
    }
}
