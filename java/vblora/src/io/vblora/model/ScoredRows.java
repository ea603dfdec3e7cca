package io.vblora.model;

import static io.vblora.kernels.global.vblora.VBL_IGNORE_INDEX;

import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Transformer;
import java.util.stream.IntStream;

/**
 * The tokens of a batch that the head of a language model computes logits of: those whose next token counts in the
 * loss, or all of them where nearly all do.
 *
 * @param rows these tokens, one behind the other, and the adapters that they use
 * @param places int32 [count], each one's place among all tokens
 * @param targets int32 [count], the tokens that follow them
 */
record ScoredRows(Rows rows, Tensor places, Tensor targets) {
    /** Gathering rows pays from one in so many on that need not be computed. */
    private static final int LEAST_SAVED = 8;

    /** Scored rows among the inputs of a pass. */
    record Given(int[] tokens, Inputs.Place places, Inputs.Place targets) {
        /** Number of scored rows. */
        int count() {
            return tokens.length;
        }

        /** The scored rows of a batch on the device. */
        ScoredRows in(Pass pass, Tokens batch) {
            return new ScoredRows(batch.rows().gathered(tokens), pass.input(places), pass.input(targets));
        }
    }

    /**
     * Adds the scored rows of a batch to the inputs of a pass. If no token is scored, the first one stands there as one
     * that does not count.
     *
     * @param labels [tokens], -100 where a token is not to be predicted
     * @param all whether the tokens whose next one does not count are there too: the head's dropout is then drawn for
     * each token's place among all
     */
    static Given give(Inputs inputs, TokenBatch batch, int[] labels, boolean all) {
        int[] next = batch.next(labels, VBL_IGNORE_INDEX);
        int[] tokens = IntStream.range(0, next.length).filter(i -> next[i] != VBL_IGNORE_INDEX).toArray();
        if (all || tokens.length > next.length - next.length / LEAST_SAVED) {
            tokens = IntStream.range(0, next.length).toArray();
        } else if (tokens.length == 0) {
            tokens = new int[1];
        }
        return new Given(tokens, inputs.ints(tokens),
                inputs.ints(IntStream.of(tokens).map(token -> next[token]).toArray()));
    }

    long count() {
        return rows.count();
    }

    /** Some of these. */
    ScoredRows part(long from, long size) {
        return new ScoredRows(rows.part(from, size), places.view(from, size), targets.view(from, size));
    }

    /** These rows of x [tokens, hidden], in the arena. */
    Tensor gather(Pass pass, Tensor x) {
        Tensor gathered = pass.arena().floats(count(), x.dimension(1));
        Transformer.embeddingForward(pass.stream(), places, x, false, gathered);
        return gathered;
    }

    /** Adds these rows to those of all [tokens, hidden]. */
    void scatter(Pass pass, Tensor these, Tensor all) {
        Transformer.embeddingBackward(pass.stream(), places, these, all);
    }
}
