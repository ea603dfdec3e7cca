package io.vblora.model;

import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Sequences;
import java.util.Arrays;

/**
 * A batch on the device.
 *
 * @param ids int32 [tokens]
 * @param positions int32 [tokens], each token's in its sequence
 */
record TokenBatch(Sequences sequences, Tensor ids, Tensor positions) {

    /** Sequences padded at their end to one length; takes the tensors from the execution's arena. */
    static TokenBatch padded(Execution run, int size, int length, int[] inputIds, int[] lengths) {
        int[] positions = new int[size * length];
        for (int i = 0; i < positions.length; i++) {
            positions[i] = i % length;
        }
        return new TokenBatch(Sequences.padded(size, length, run.ints(lengths)), run.ints(inputIds),
                run.ints(positions));
    }

    /** Sequences without padding, each from the given position on; takes the tensors from the execution's arena. */
    static TokenBatch packed(Execution run, TokenRows rows, int firstPosition) {
        int[] starts = rows.starts();
        int[] positions = new int[rows.tokens()];
        for (int row = 0; row < rows.size(); row++) {
            for (int i = starts[row]; i < starts[row + 1]; i++) {
                positions[i] = firstPosition + i - starts[row];
            }
        }
        return new TokenBatch(Sequences.packed(rows.size(), rows.length(), rows.tokens(), run.ints(starts)),
                run.ints(rows.packed(rows.inputIds())), run.ints(positions));
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
        return sequences.tokens();
    }
}
