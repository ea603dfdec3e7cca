package io.vblora.kernels.ops;

import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;

/**
 * How the rows of a tensor, one per token, make sequences: padded at their end to one length, or packed, which is one
 * after the other without padding.
 *
 * @param size sequences
 * @param length tokens of each if padded, else at most
 * @param tokens rows in all
 * @param places int32 on the device: if padded the tokens of each sequence that are not padding [size], else the first
 * row of each sequence and, last, the number of rows [size + 1]
 */
public record Sequences(int size, int length, long tokens, boolean packed, Tensor places) {
    /** Sequence i has rows i · length .. i · length + lengths[i] - 1; the others up to the next one are padding. */
    public static Sequences padded(int size, int length, Tensor lengths) {
        return new Sequences(size, length, (long) size * length, false, lengths);
    }

    /** Sequence i has rows starts[i] .. starts[i + 1] - 1, at most {@code length}. */
    public static Sequences packed(int size, int length, long tokens, Tensor starts) {
        return new Sequences(size, length, tokens, true, starts);
    }

    void check(Stream stream) {
        Check.positive("size", size);
        Check.ints(stream, packed ? "starts" : "lengths", places, packed ? size + 1 : size);
    }
}
