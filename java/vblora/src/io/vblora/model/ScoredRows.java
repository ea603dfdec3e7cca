package io.vblora.model;

import static io.vblora.kernels.global.vblora.VBL_IGNORE_INDEX;

import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Transformer;
import java.util.stream.IntStream;

/**
 * The tokens of a batch that the head of a language model computes logits of: those whose next token counts in the
 * loss, or all of them where nearly all do.
 *
 * @param rows these tokens, one after the other, and the adapters that they use
 * @param indices int32 [count], each one's place among all tokens
 * @param targets int32 [count], the tokens that follow them
 */
public record ScoredRows(Rows rows, Tensor indices, Tensor targets) {
    /** Rows are gathered only if at least one in so many need not be computed. */
    private static final int LEAST_SAVED = 8;
    /** Their number is a multiple of this, where there are rows enough, so that fewer shapes of passes occur. */
    private static final int MULTIPLE = 16;

    /** Scored rows among the inputs of a pass. */
    public record Given(int[] tokens, Inputs.Place indices, Inputs.Place targets) {
        /** These among all rows of the batch. */
        public Rows rows(Rows all) {
            return tokens.length == all.count() ? all : all.gathered(tokens);
        }

        /** The scored rows of a batch on the device. */
        public ScoredRows in(Pass pass, Tokens batch) {
            return new ScoredRows(rows(batch.rows()), pass.input(indices), pass.input(targets));
        }
    }

    /**
     * Adds the scored rows of a batch to the inputs of a pass. A few that do not count may be among them, and where no
     * token is scored there are only such.
     *
     * @param labels [tokens], -100 where a token is not to be predicted
     * @param all whether the tokens whose next one does not count are there too: the head's dropout is then drawn for
     * each token's place among all
     */
    public static Given give(Inputs inputs, TokenBatch batch, int[] labels, boolean all) {
        int[] next = batch.next(labels, VBL_IGNORE_INDEX);
        int scored = (int) IntStream.of(next).filter(target -> target != VBL_IGNORE_INDEX).count();
        int wanted = Math.max(1, (scored + MULTIPLE - 1) / MULTIPLE) * MULTIPLE;
        int[] tokens = new int[all || wanted > next.length - next.length / LEAST_SAVED ? next.length : wanted];
        int others = tokens.length - scored;
        int count = 0;
        for (int i = 0; i < next.length; i++) {
            if (next[i] != VBL_IGNORE_INDEX || others-- > 0) {
                tokens[count++] = i;
            }
        }
        return new Given(tokens, inputs.ints(tokens),
                inputs.ints(IntStream.of(tokens).map(token -> next[token]).toArray()));
    }

    public long count() {
        return rows.count();
    }

    /** Some of these. */
    public ScoredRows part(long from, long size) {
        return new ScoredRows(rows.part(from, size), indices.view(from, size), targets.view(from, size));
    }

    /** These rows of x [tokens, hidden], in the arena. */
    public Tensor gather(Pass pass, Tensor x) {
        Tensor gathered = pass.arena().floats(count(), x.dimension(1));
        Transformer.embeddingForward(pass.stream(), indices, x, false, gathered);
        return gathered;
    }

    /** Adds these rows to those of all [tokens, hidden]. */
    public void scatter(Pass pass, Tensor these, Tensor all) {
        Transformer.embeddingBackward(pass.stream(), indices, these, all);
    }
}
