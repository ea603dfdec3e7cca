package io.vblora.model;

/**
 * A batch of token sequences on the host, padded at their end to one length. What padding holds does not matter, as
 * long as it is in the vocabulary.
 *
 * @param size sequences
 * @param length tokens of each, padding included
 * @param inputIds [size · length], row by row
 * @param tokenTypeIds [size · length], or null for zeros
 * @param lengths [size], tokens of each row that are not padding, from 1 to length
 */
public record TokenRows(int size, int length, int[] inputIds, int[] tokenTypeIds, int[] lengths) {
    /** @throws IllegalArgumentException if the arrays do not fit each other */
    public TokenRows {
        long tokens = (long) size * length;
        if (size < 1 || length < 1 || inputIds.length != tokens || lengths.length != size
                || tokenTypeIds != null && tokenTypeIds.length != tokens) {
            throw new IllegalArgumentException("A batch of " + size + " rows of " + length + " tokens has " + tokens
                    + " inputIds and tokenTypeIds and " + size + " lengths, found " + inputIds.length + ", "
                    + (tokenTypeIds == null ? "null" : tokenTypeIds.length) + " and " + lengths.length);
        }
        for (int row : lengths) {
            if (row < 1 || row > length) {
                throw new IllegalArgumentException("A row has " + row + " tokens; expected 1 to " + length);
            }
        }
    }

    long tokens() {
        return (long) size * length;
    }
}
