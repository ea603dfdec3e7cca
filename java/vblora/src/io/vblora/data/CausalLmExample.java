package io.vblora.data;

/**
 * A tokenized training example. Labels are not shifted, as in Hugging Face's causal language models: position t
 * predicts {@code labels[t + 1]}, so {@code labels[0]} never counts. Neither array is copied.
 *
 * @param inputIds token ids, [length]
 * @param labels token ids, or {@link #IGNORE_INDEX} where the loss is not counted, [length]
 */
public record CausalLmExample(int[] inputIds, int[] labels) implements TokenSequence {
    /** The label that is left out of the loss, PyTorch's {@code ignore_index}. */
    public static final int IGNORE_INDEX = -100;

    public CausalLmExample {
        if (inputIds.length != labels.length) {
            throw new IllegalArgumentException(inputIds.length + " input ids have " + labels.length + " labels");
        }
    }

    /** An example whose every token is its own label. */
    public static CausalLmExample of(int... inputIds) {
        return new CausalLmExample(inputIds, inputIds);
    }

    /** Number of positions that count in the loss. */
    public int countedLabels() {
        int n = 0;
        for (int t = 1; t < labels.length; t++) {
            n += labels[t] == IGNORE_INDEX ? 0 : 1;
        }
        return n;
    }
}
