package io.vblora.model;

import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Sequences;

/**
 * A batch on the device.
 *
 * @param ids int32 [tokens]
 * @param positions int32 [tokens], each token's in its sequence
 */
public record Inputs(Sequences sequences, Tensor ids, Tensor positions) {
    /** Takes the tensors from the execution's arena; sequences begin at the given position. */
    static Inputs of(Execution run, TokenBatch batch, int firstPosition) {
        return new Inputs(Sequences.packed(batch.size(), batch.longest(), batch.tokens(), run.ints(batch.starts())),
                run.ints(batch.inputIds()), run.ints(batch.positions(firstPosition)));
    }

    /** Number of tokens. */
    public long tokens() {
        return sequences.tokens();
    }
}
