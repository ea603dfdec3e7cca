package io.vblora.model;

/**
 * A batch of token sequences on the host, padded at their end to one length. Padding is not read: neither
 * computed nor counted.
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

    /** Tokens without padding. */
    int tokens() {
        return starts()[size];
    }

    /** The place of each row's first token among the tokens of all rows and, last, their number. */
    int[] starts() {
        int[] starts = new int[size + 1];
        for (int row = 0; row < size; row++) {
            starts[row + 1] = starts[row] + lengths[row];
        }
        return starts;
    }

    /** What is not padding of an array [size · length]. */
    int[] packed(int[] values) {
        int[] packed = new int[tokens()];
        int[] starts = starts();
        for (int row = 0; row < size; row++) {
            System.arraycopy(values, row * length, packed, starts[row], lengths[row]);
        }
        return packed;
    }

    /** [size · length, columns] from what is not padding [tokens, columns]; 0 at padding. */
    float[] padded(float[] values, int columns) {
        float[] padded = new float[size * length * columns];
        int[] starts = starts();
        for (int row = 0; row < size; row++) {
            System.arraycopy(values, starts[row] * columns, padded, row * length * columns, lengths[row] * columns);
        }
        return padded;
    }
}
