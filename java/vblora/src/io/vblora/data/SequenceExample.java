package io.vblora.data;

/**
 * A tokenized text or pair of texts with its label or value. The arrays are not copied.
 *
 * @param inputIds token ids with special tokens, [length]
 * @param tokenTypeIds 0 in the first text and 1 in the second, as the tokenizer gives them, [length]
 * @param target index of the class, or the value for regression
 */
public record SequenceExample(int[] inputIds, int[] tokenTypeIds, float target) implements TokenSequence {
    public SequenceExample {
        if (inputIds.length != tokenTypeIds.length) {
            throw new IllegalArgumentException(inputIds.length + " input ids have " + tokenTypeIds.length
                    + " token type ids");
        }
    }
}
