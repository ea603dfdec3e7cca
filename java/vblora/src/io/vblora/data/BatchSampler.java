package io.vblora.data;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;

/**
 * Groups examples into batches, epoch by epoch: in their own order, or in a random one that depends on seed and epoch
 * alone. The last batch of an epoch may be smaller. Immutable.
 *
 * <p>The random order is the same on every platform: a Fisher-Yates shuffle (from the last position down, swapping i
 * with j in [0, i]) driven by SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) with start state mix(seed) + epoch, where
 * mix is SplitMix64's output function; j is the upper part of the 63-bit draw times (i + 1).
 */
public final class BatchSampler {
    private static final long GOLDEN_GAMMA = 0x9E3779B97F4A7C15L;

    private final List<Example> examples;
    private final int batchSize;
    private final boolean shuffle;
    private final long seed;

    /**
     * @param batchSize examples in a batch, at least 1
     * @param seed of the random order; without {@code shuffle} not used
     */
    public BatchSampler(List<Example> examples, int batchSize, boolean shuffle, long seed) {
        if (examples.isEmpty() || batchSize < 1) {
            throw new IllegalArgumentException(examples.size() + " examples cannot make batches of " + batchSize);
        }
        this.examples = List.copyOf(examples);
        this.batchSize = batchSize;
        this.shuffle = shuffle;
        this.seed = seed;
    }

    /** Batches in an epoch. */
    public int batches() {
        return (int) ((examples.size() + (long) batchSize - 1) / batchSize);
    }

    /** The batches of an epoch, counted from 0. Batches are made as the iterator reaches them. */
    public Iterator<Batch> epoch(long epoch) {
        int[] order = order(epoch);
        return new Iterator<>() {
            private int next;

            @Override
            public boolean hasNext() {
                return next < order.length;
            }

            @Override
            public Batch next() {
                if (!hasNext()) {
                    throw new NoSuchElementException();
                }
                List<Example> rows = new ArrayList<>();
                for (int end = (int) Math.min(order.length, next + (long) batchSize); next < end; next++) {
                    rows.add(examples.get(order[next]));
                }
                return Batch.of(rows);
            }
        };
    }

    /** The order in which an epoch visits the examples. */
    int[] order(long epoch) {
        int[] order = new int[examples.size()];
        for (int i = 0; i < order.length; i++) {
            order[i] = i;
        }
        if (shuffle) {
            long state = mix(seed) + epoch;
            for (int i = order.length - 1; i > 0; i--) {
                state += GOLDEN_GAMMA;
                int j = (int) Math.multiplyHigh(mix(state) >>> 1, (i + 1L) << 1);
                int swapped = order[i];
                order[i] = order[j];
                order[j] = swapped;
            }
        }
        return order;
    }

    private static long mix(long z) {
        z = (z ^ z >>> 30) * 0xBF58476D1CE4E5B9L;
        z = (z ^ z >>> 27) * 0x94D049BB133111EBL;
        return z ^ z >>> 31;
    }
}
