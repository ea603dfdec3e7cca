package io.vblora.data;

/**
 * What a data set consists of and batches are made from: a sequence of tokens, with whatever is to be learnt about it.
 */
public interface TokenSequence {
    /** Token ids, [length]; not a copy. */
    int[] inputIds();

    /** Number of tokens. */
    default int length() {
        return inputIds().length;
    }
}
