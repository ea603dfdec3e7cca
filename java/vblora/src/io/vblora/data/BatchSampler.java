package io.vblora.data;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;

/**
 * Groups examples into batches, epoch by epoch: in their own order, or in a random one that depends on seed and epoch
 * alone. The last batch of an epoch may be smaller. Immutable.
 *
 * <p>If examples are grouped by length, those of similar length share a batch. As in Hugging Face's
 * {@code group_by_length}, the order is cut into stretches of up to 50 batches (fewer where there would be less than
 * four stretches), and each stretch is sorted from long to short, with equal lengths left in their order. The longest
 * example of all changes places with the very first one, so that a batch that does not fit into memory shows at once.
 *
 * <p>The random order is the same on every platform: a Fisher-Yates shuffle (from the last position down, swapping i
 * with j in [0, i]) driven by SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) with start state mix(seed) + epoch, where
 * mix is SplitMix64's output function; j is the upper part of the 63-bit draw times (i + 1).
 */
public final class BatchSampler<E extends TokenSequence> {
    private static final long GOLDEN_GAMMA = 0x9E3779B97F4A7C15L;
    /** The most batches in a stretch that is sorted by length; Hugging Face's number. */
    private static final int STRETCH_BATCHES = 50;

    private final List<E> examples;
    private final int batchSize;
    private final boolean shuffle;
    private final boolean groupByLength;
    private final long seed;

    /**
     * @param batchSize examples in a batch, at least 1
     * @param groupByLength whether examples of similar length share a batch
     * @param seed seed of the random order; not used without {@code shuffle}
     */
    public BatchSampler(List<E> examples, int batchSize, boolean shuffle, boolean groupByLength, long seed) {
        if (examples.isEmpty() || batchSize < 1) {
            throw new IllegalArgumentException(examples.size() + " examples cannot make batches of " + batchSize);
        }
        this.examples = List.copyOf(examples);
        this.batchSize = batchSize;
        this.shuffle = shuffle;
        this.groupByLength = groupByLength;
        this.seed = seed;
    }

    /** Batches in an epoch. */
    public int batches() {
        return (int) ((examples.size() + (long) batchSize - 1) / batchSize);
    }

    /** The batches of an epoch, counted from 0; none is empty. They are made as the iterator reaches them. */
    public Iterator<List<E>> epoch(long epoch) {
        int[] order = order(epoch);
        return new Iterator<>() {
            private int next;

            @Override
            public boolean hasNext() {
                return next < order.length;
            }

            @Override
            public List<E> next() {
                if (!hasNext()) {
                    throw new NoSuchElementException();
                }
                List<E> rows = new ArrayList<>();
                for (int end = (int) Math.min(order.length, next + (long) batchSize); next < end; next++) {
                    rows.add(examples.get(order[next]));
                }
                return rows;
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
        return groupByLength ? grouped(order) : order;
    }

    private int[] grouped(int[] order) {
        long stretch = batchSize * Math.max(1, Math.min(order.length / (4L * batchSize), STRETCH_BATCHES));
        Integer[] sorted = Arrays.stream(order).boxed().toArray(Integer[]::new);
        Comparator<Integer> longestFirst = Comparator.comparingInt(i -> -examples.get(i).length());
        int longest = 0;
        for (long start = 0; start < sorted.length; start += stretch) {
            Arrays.sort(sorted, (int) start, (int) Math.min(sorted.length, start + stretch), longestFirst);
            longest = longestFirst.compare(sorted[(int) start], sorted[longest]) < 0 ? (int) start : longest;
        }
        Integer first = sorted[0];
        sorted[0] = sorted[longest];
        sorted[longest] = first;
        return Arrays.stream(sorted).mapToInt(i -> i).toArray();
    }

    private static long mix(long z) {
        z = (z ^ z >>> 30) * 0xBF58476D1CE4E5B9L;
        z = (z ^ z >>> 27) * 0x94D049BB133111EBL;
        return z ^ z >>> 31;
    }
}
