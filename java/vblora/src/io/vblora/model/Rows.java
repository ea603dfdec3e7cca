package io.vblora.model;

import io.vblora.kernels.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntUnaryOperator;

/**
 * Consecutive rows of a batch, its tokens or its sequences, and which of the attached adapters each of them uses.
 *
 * @param first place of the first one among all rows of the batch; -1 if they do not stand together there
 * @param runs all of them, in order
 */
public record Rows(long first, long count, List<Run> runs) {
    /** The first row's place where these are chosen from all and do not stand together there. */
    private static final long CHOSEN = -1;

    /**
     * Consecutive rows that use the same adapter.
     *
     * @param first place of the first one among those that this is a run of
     * @param slot of the adapter in {@link Updates}, or {@link TokenBatch#NO_ADAPTER}
     */
    public record Run(long first, long count, int slot) {
        /** These rows of a matrix that has all of them. */
        public Tensor of(Tensor matrix) {
            if (count == matrix.dimension(0)) {
                return matrix;
            }
            long[] shape = matrix.shape();
            long width = matrix.elements() / shape[0];
            shape[0] = count;
            return matrix.view(first * width, shape);
        }
    }

    /** Rows that all use the same adapter. */
    static Rows of(long count, int slot) {
        return new Rows(0, count, List.of(new Run(0, count, slot)));
    }

    /** The tokens of a batch whose sequences use the adapters of these slots, [size]. */
    static Rows ofTokens(TokenBatch batch, int[] slots) {
        return of(slots, row -> batch.starts()[row]);
    }

    /** The sequences of a batch that use the adapters of these slots, [size]. */
    static Rows ofSequences(int[] slots) {
        return of(slots, row -> row);
    }

    /** @param start place of what belongs to a sequence, or after the last one */
    private static Rows of(int[] slots, IntUnaryOperator start) {
        List<Run> runs = new ArrayList<>();
        int from = 0;
        for (int row = 1; row <= slots.length; row++) {
            if (row == slots.length || slots[row] != slots[from]) {
                long first = start.applyAsInt(from);
                long count = start.applyAsInt(row) - first;
                Run last = runs.isEmpty() ? null : runs.get(runs.size() - 1);
                if (count > 0 && last != null && last.slot == slots[from]) {
                    runs.set(runs.size() - 1, new Run(last.first, last.count + count, last.slot));
                } else if (count > 0) {
                    runs.add(new Run(first, count, slots[from]));
                }
                from = row;
            }
        }
        return new Rows(0, start.applyAsInt(slots.length), List.copyOf(runs));
    }

    /** Some of these rows. */
    public Rows part(long from, long size) {
        long place = isConsecutive() ? first + from : CHOSEN;
        if (runs.size() == 1) {
            return new Rows(place, size, List.of(new Run(0, size, runs.get(0).slot)));
        }
        List<Run> cut = new ArrayList<>();
        for (Run run : runs) {
            long begin = Math.max(run.first, from);
            long end = Math.min(run.first + run.count, from + size);
            if (begin < end) {
                cut.add(new Run(begin - from, end - begin, run.slot));
            }
        }
        return new Rows(place, size, List.copyOf(cut));
    }

    /** Whether they stand together among all rows of the batch. */
    boolean isConsecutive() {
        return first != CHOSEN;
    }

    /**
     * Chosen rows, one after the other.
     *
     * @param indices among these, ascending
     */
    Rows gathered(int[] indices) {
        List<Run> chosen = new ArrayList<>();
        int next = 0;
        for (Run run : runs) {
            int from = next;
            while (next < indices.length && indices[next] < run.first + run.count) {
                next++;
            }
            if (next > from) {
                chosen.add(new Run(from, next - from, run.slot));
            }
        }
        return new Rows(CHOSEN, indices.length, List.copyOf(chosen));
    }

    /** All rows as one run, where it makes no difference which adapter they use. */
    Run whole() {
        return new Run(0, count, TokenBatch.NO_ADAPTER);
    }
}
