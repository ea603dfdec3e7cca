package io.vblora.model;

import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Sequences;

/**
 * A batch on the device.
 *
 * @param ids int32 [tokens]
 * @param positions int32 [tokens], each token's in its sequence
 * @param types int32 [tokens]; null for models that know none
 */
public record Tokens(Sequences sequences, Tensor ids, Tensor positions, Tensor types) {
    /** A batch among the inputs of a pass. */
    public record Given(Bucket bucket, Inputs.Place starts, Inputs.Place ids, Inputs.Place positions,
            Inputs.Place types) {
        /** The batch on the device. */
        public Tokens in(Pass pass) {
            Sequences sequences = Sequences.packed(bucket.sequences(), bucket.longest(), bucket.tokens(),
                    pass.input(starts));
            return new Tokens(sequences, pass.input(ids), pass.input(positions),
                    types == null ? null : pass.input(types));
        }
    }

    /**
     * Adds a batch to the inputs of a pass.
     *
     * @param firstPosition of each sequence
     * @param typed whether token types belong to it
     */
    public static Given give(Inputs inputs, TokenBatch batch, int firstPosition, boolean typed) {
        return new Given(batch.bucket(), inputs.ints(batch.starts()), inputs.ints(batch.inputIds()),
                inputs.ints(batch.positions(firstPosition)), !typed ? null
                        : inputs.ints(batch.tokenTypeIds() == null ? new int[batch.tokens()] : batch.tokenTypeIds()));
    }

    /** Number of tokens. */
    public long count() {
        return sequences.tokens();
    }
}
