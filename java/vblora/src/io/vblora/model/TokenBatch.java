package io.vblora.model;

import static io.vblora.kernels.global.vblora.VBL_IGNORE_INDEX;

import io.vblora.InputException;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The sequences of tokens that a model computes at a time, one after the other without padding. Sequences may be
 * empty. Dropout is drawn for each token's place among all of them, so neither empty sequences nor what comes after
 * them changes it. The arrays are not copied.
 *
 * @param starts the place of each sequence's first token among all tokens and, last, the number of tokens, [size + 1]
 * @param inputIds [tokens], at least one
 * @param tokenTypeIds [tokens], or null for zeros
 * @param longest number of tokens that no sequence has more of
 * @param adapters [size], the slot of the adapter that each sequence uses among those that are attached to the model,
 * or {@link #NO_ADAPTER}; null where all use the only one
 */
public record TokenBatch(int[] starts, int[] inputIds, int[] tokenTypeIds, int longest, int[] adapters) {
    /** In place of a slot: a sequence uses no adapter. */
    public static final int NO_ADAPTER = -1;

    /** @throws IllegalArgumentException if there is no token, or the arrays do not fit each other */
    public TokenBatch {
        int tokens = inputIds.length;
        if (tokens == 0 || starts.length < 2 || starts[0] != 0 || starts[starts.length - 1] != tokens
                || tokenTypeIds != null && tokenTypeIds.length != tokens) {
            throw new IllegalArgumentException("A batch has tokens, starts from 0 to their number, and as many "
                    + "tokenTypeIds, found " + tokens + " inputIds, starts " + Arrays.toString(starts) + " and "
                    + (tokenTypeIds == null ? "no" : Integer.toString(tokenTypeIds.length)) + " tokenTypeIds");
        }
        for (int row = 0; row + 1 < starts.length; row++) {
            int length = starts[row + 1] - starts[row];
            if (length < 0 || length > longest) {
                throw new IllegalArgumentException("A sequence starts at " + starts[row] + " and the next one at "
                        + starts[row + 1] + "; expected 0 to " + longest + " tokens");
            }
        }
        if (adapters != null && (adapters.length != starts.length - 1
                || Arrays.stream(adapters).anyMatch(slot -> slot < NO_ADAPTER))) {
            throw new IllegalArgumentException((starts.length - 1) + " sequences each name the slot of an adapter, or "
                    + NO_ADAPTER + " for none, found " + Arrays.toString(adapters));
        }
    }

    /** A batch whose longest sequence decides what its {@link #longest} is. */
    public TokenBatch(int[] starts, int[] inputIds, int[] tokenTypeIds) {
        this(starts, inputIds, tokenTypeIds, IntStream.range(1, starts.length)
                .map(row -> starts[row] - starts[row - 1]).max().orElse(0), null);
    }

    /** A batch of these sequences, whose token types are all 0. */
    public static TokenBatch of(int[]... sequences) {
        return of(List.of(sequences));
    }

    /** A batch of these sequences, whose token types are all 0. */
    public static TokenBatch of(List<int[]> sequences) {
        return new TokenBatch(starts(sequences), pack(sequences), null);
    }

    /** A batch of these sequences; each has as many token types as tokens. */
    public static TokenBatch of(List<int[]> sequences, List<int[]> tokenTypes) {
        int[] starts = starts(sequences);
        if (!Arrays.equals(starts, starts(tokenTypes))) {
            throw new IllegalArgumentException("Sequences that start at " + Arrays.toString(starts)
                    + " have token types that start at " + Arrays.toString(starts(tokenTypes)));
        }
        return new TokenBatch(starts, pack(sequences), pack(tokenTypes));
    }

    private static int[] starts(List<int[]> sequences) {
        int[] starts = new int[sequences.size() + 1];
        for (int row = 0; row < sequences.size(); row++) {
            starts[row + 1] = Math.addExact(starts[row], sequences.get(row).length);
        }
        return starts;
    }

    /** The values that each sequence has for its tokens as a batch has them, one sequence after the other. */
    public static int[] pack(List<int[]> sequences) {
        int[] packed = new int[starts(sequences)[sequences.size()]];
        int start = 0;
        for (int[] sequence : sequences) {
            System.arraycopy(sequence, 0, packed, start, sequence.length);
            start += sequence.length;
        }
        return packed;
    }

    /**
     * This batch with sequences that use other adapters, as PEFT's {@code adapter_names} say it of a batch.
     *
     * @param slots [size], of the adapters among those that are attached to the model, or {@link #NO_ADAPTER}
     */
    public TokenBatch withAdapters(int... slots) {
        return new TokenBatch(starts, inputIds, tokenTypeIds, longest, slots.clone());
    }

    /** Number of sequences. */
    public int size() {
        return starts.length - 1;
    }

    /** Number of tokens. */
    public int tokens() {
        return inputIds.length;
    }

    /** Number of tokens of one sequence. */
    public int length(int row) {
        return starts[row + 1] - starts[row];
    }

    /**
     * Checks the tokens.
     *
     * @param vocabSize number of tokens that the model knows
     * @throws InputException if there is one that it does not know
     */
    public void checkIds(int vocabSize) {
        check("input_ids", inputIds, 0, vocabSize, "vocab_size");
    }

    /** The same of token types, if there are any. */
    public void checkTypes(int typeVocabSize) {
        if (tokenTypeIds != null) {
            check("token_type_ids", tokenTypeIds, 0, typeVocabSize, "type_vocab_size");
        }
    }

    /**
     * Checks labels of the tokens, [tokens].
     *
     * @throws IllegalArgumentException if these are not as many
     * @throws InputException if one is neither a token that the model knows nor -100
     */
    public void checkLabels(int[] labels, int vocabSize) {
        checkLength(labels);
        check("labels", labels, VBL_IGNORE_INDEX, vocabSize, "vocab_size");
    }

    private void checkLength(int[] labels) {
        if (labels.length != tokens()) {
            throw new IllegalArgumentException(tokens() + " inputIds have as many labels, found " + labels.length);
        }
    }

    /** @param other is allowed beside 0 to size - 1 */
    private static void check(String field, int[] values, int other, int size, String limit) {
        for (int value : values) {
            if ((value < 0 || value >= size) && value != other) {
                throw new InputException("batch", field, Integer.toString(value), (other < 0 ? other + " or " : "")
                        + "0 to " + (size - 1) + ", as the model's " + limit + " is " + size);
            }
        }
    }

    public Bucket bucket() {
        return new Bucket(size(), tokens(), longest);
    }

    /**
     * This batch followed by sequences that fill a bucket: some of zeros, as few as hold them, and empty ones.
     * The results of the others stay the same, except for rounding where a library of matrix products chooses the order
     * of its sums by the number of rows. Give them the label -100, and they count nowhere.
     *
     * @throws IllegalArgumentException if the bucket does not hold the batch, or too few sequences to fill it
     */
    public TokenBatch padded(Bucket bucket) {
        long room = (long) (bucket.sequences() - size()) * bucket.longest();
        if (bucket.sequences() < size() || bucket.longest() < longest || bucket.tokens() < tokens()
                || bucket.tokens() - tokens() > room) {
            throw new IllegalArgumentException(bucket() + " does not become " + bucket);
        }
        int[] padded = Arrays.copyOf(starts, bucket.sequences() + 1);
        for (int row = size(); row < bucket.sequences(); row++) {
            padded[row + 1] = padded[row] + Math.min(bucket.longest(), bucket.tokens() - padded[row]);
        }
        int[] slots = adapters == null ? null : Arrays.copyOf(adapters, bucket.sequences());
        if (slots != null) {
            Arrays.fill(slots, size(), slots.length, slots[size() - 1]);
        }
        return new TokenBatch(padded, Arrays.copyOf(inputIds, bucket.tokens()),
                tokenTypeIds == null ? null : Arrays.copyOf(tokenTypeIds, bucket.tokens()), bucket.longest(), slots);
    }

    /** The place of each token in its sequence, the first one's given, [tokens]. */
    int[] positions(int first) {
        int[] positions = new int[tokens()];
        for (int row = 0; row < size(); row++) {
            for (int i = starts[row]; i < starts[row + 1]; i++) {
                positions[i] = first + i - starts[row];
            }
        }
        return positions;
    }

    /** The value of the next token in the sequence for each of [tokens], and for the last token another one. */
    int[] next(int[] values, int ofLast) {
        checkLength(values);
        int[] next = new int[tokens()];
        for (int row = 0; row < size(); row++) {
            if (length(row) > 0) {
                int last = starts[row + 1] - 1;
                System.arraycopy(values, starts[row] + 1, next, starts[row], last - starts[row]);
                next[last] = ofLast;
            }
        }
        return next;
    }
}
