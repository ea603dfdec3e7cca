package io.vblora.model;

import io.vblora.kernels.Tensor;
import java.util.Arrays;

/** A batch on the device: sequences padded at their end to one length. All tensors are int32. */
record TokenBatch(int size, int length, Tensor ids, Tensor positions, Tensor lengths) {

    /** Takes the tensors from the execution's arena; every sequence begins at the given position. */
    static TokenBatch take(Execution run, int size, int length, int[] inputIds, int[] lengths, int firstPosition) {
        int[] positions = new int[size * length];
        for (int i = 0; i < positions.length; i++) {
            positions[i] = firstPosition + i % length;
        }
        return new TokenBatch(size, length, run.ints(inputIds), run.ints(positions), run.ints(lengths));
    }

    /** Labels shifted by one within each sequence: position t is scored on label t + 1, the last one not at all. */
    static int[] shift(int[] labels, int length, int ignored) {
        int[] shifted = new int[labels.length];
        for (int start = 0; start < labels.length; start += length) {
            System.arraycopy(labels, start + 1, shifted, start, length - 1);
            Arrays.fill(shifted, start + length - 1, start + length, ignored);
        }
        return shifted;
    }

    long tokens() {
        return (long) size * length;
    }
}
