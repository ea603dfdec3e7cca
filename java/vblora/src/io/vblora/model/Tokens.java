package io.vblora.model;

import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Sequences;
import java.util.ArrayList;
import java.util.List;

/**
 * A batch on the device.
 *
 * @param ids int32 [tokens]
 * @param positions int32 [tokens], each token's in its sequence
 * @param types int32 [tokens]; null for models that know none
 * @param rows the tokens, and the adapters that they use
 * @param sequenceRows the sequences, and the adapters that they use
 */
public record Tokens(Sequences sequences, Tensor ids, Tensor positions, Tensor types, Rows rows, Rows sequenceRows) {
    /** A batch among the inputs of a pass. */
    public record Given(Bucket bucket, Inputs.Place starts, Inputs.Place ids, Inputs.Place positions,
            Inputs.Place types, Rows rows, Rows sequenceRows) {
        /**
         * The shape of a pass over it.
         *
         * @param kind of {@link PassShape}
         * @param others rows that the pass also goes over
         */
        public PassShape shape(String kind, Updates updates, Rows... others) {
            List<Rows> all = new ArrayList<>(List.of(rows, sequenceRows));
            all.addAll(List.of(others));
            return new PassShape(kind, bucket, all, updates.layout());
        }

        /** The batch on the device. */
        public Tokens in(Pass pass) {
            Sequences sequences = Sequences.packed(bucket.sequences(), bucket.longest(), bucket.tokens(),
                    pass.input(starts));
            return new Tokens(sequences, pass.input(ids), pass.input(positions),
                    types == null ? null : pass.input(types), rows, sequenceRows);
        }
    }

    /**
     * Adds a batch to the inputs of a pass.
     *
     * @param slots of the adapters that its sequences use
     * @param firstPosition of each sequence
     * @param typed whether token types belong to it
     */
    public static Given give(Inputs inputs, TokenBatch batch, int[] slots, int firstPosition, boolean typed) {
        return new Given(batch.bucket(), inputs.ints(batch.starts()), inputs.ints(batch.inputIds()),
                inputs.ints(batch.positions(firstPosition)), !typed ? null
                        : inputs.ints(batch.tokenTypeIds() == null ? new int[batch.tokens()] : batch.tokenTypeIds()),
                Rows.ofTokens(batch, slots), Rows.ofSequences(slots));
    }

    /** Number of tokens. */
    public long count() {
        return sequences.tokens();
    }
}
