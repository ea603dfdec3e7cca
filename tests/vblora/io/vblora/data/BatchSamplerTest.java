package io.vblora.data;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class BatchSamplerTest {
    /** Example i is [i, i, ...] of length 2 + i % 3. */
    private static List<CausalLmExample> examples(int n) {
        return IntStream.range(0, n)
                .mapToObj(i -> CausalLmExample.of(IntStream.generate(() -> i).limit(2 + i % 3).toArray()))
                .toList();
    }

    private static List<Integer> visited(BatchSampler<CausalLmExample> sampler, long epoch) {
        List<Integer> order = new ArrayList<>();
        sampler.epoch(epoch).forEachRemaining(batch -> batch.forEach(example -> order.add(example.inputIds()[0])));
        return order;
    }

    @Test
    void keepsTheOrderWithoutShufflingAndTheLastSmallerBatch() {
        BatchSampler<CausalLmExample> sampler = new BatchSampler<>(examples(7), 3, false, false, 1);
        assertEquals(3, sampler.batches());
        assertEquals(List.of(0, 1, 2, 3, 4, 5, 6), visited(sampler, 0));
        assertEquals(List.of(0, 1, 2, 3, 4, 5, 6), visited(sampler, 5));
        Iterator<List<CausalLmExample>> epoch = sampler.epoch(0);
        assertEquals(List.of(3, 3, 1), List.of(epoch.next().size(), epoch.next().size(), epoch.next().size()));
        assertFalse(epoch.hasNext());
        assertThrows(NoSuchElementException.class, epoch::next);
    }

    /** Expected orders: the documented generator, written down a second time in Python with integers of any size. */
    @Test
    void shufflesByTheDocumentedGenerator() {
        assertArrayEquals(new int[] {2, 3, 6, 4, 7, 9, 0, 8, 1, 5},
                new BatchSampler<>(examples(10), 4, true, false, 42).order(0));
        assertArrayEquals(new int[] {8, 1, 9, 4, 3, 5, 0, 6, 7, 2},
                new BatchSampler<>(examples(10), 4, true, false, 42).order(1));
        assertArrayEquals(new int[] {1, 0, 8, 3, 5, 9, 2, 6, 7, 4},
                new BatchSampler<>(examples(10), 4, true, false, -7).order(3));
    }

    @Test
    void visitsEveryExampleOnceInAnOrderThatDependsOnSeedAndEpochAlone() {
        BatchSampler<CausalLmExample> sampler = new BatchSampler<>(examples(100), 8, true, false, 42);
        List<Integer> first = visited(sampler, 0);
        List<Integer> second = visited(sampler, 1);
        assertEquals(first, visited(new BatchSampler<>(examples(100), 32, true, false, 42), 0));
        assertFalse(first.equals(second));
        assertFalse(first.equals(visited(new BatchSampler<>(examples(100), 8, true, false, 43), 0)));
        assertEquals(IntStream.range(0, 100).boxed().toList(), second.stream().sorted().toList());
    }

    /** Each of the 24 orders of four examples comes up about as often; fair shuffles have chi-square below 70. */
    @Test
    void shufflesFairly() {
        int[] counts = new int[256];
        BatchSampler<CausalLmExample> sampler = new BatchSampler<>(examples(4), 4, true, false, 7);
        int epochs = 24_000;
        for (int epoch = 0; epoch < epochs; epoch++) {
            int[] order = sampler.order(epoch);
            counts[order[0] * 64 + order[1] * 16 + order[2] * 4 + order[3]]++;
        }
        double expected = epochs / 24.0;
        double chiSquare = Arrays.stream(counts).filter(n -> n > 0)
                .mapToDouble(n -> (n - expected) * (n - expected) / expected)
                .sum();
        assertEquals(24, Arrays.stream(counts).filter(n -> n > 0).count());
        assertTrue(chiSquare < 70, "chi-square " + chiSquare);
    }

    @Test
    void refusesNothingToSample() {
        assertThrows(IllegalArgumentException.class,
                () -> new BatchSampler<CausalLmExample>(List.of(), 1, false, false, 0));
        assertThrows(IllegalArgumentException.class, () -> new BatchSampler<>(examples(1), 0, false, false, 0));
        assertEquals(1, new BatchSampler<>(examples(3), Integer.MAX_VALUE, true, false, 0).batches());
        assertEquals(3, new BatchSampler<>(examples(3), Integer.MAX_VALUE, true, false, 0).epoch(0).next().size());
    }

    /** Expected order: worked by hand from the rule. Eleven examples in batches of one make stretches of two. */
    @Test
    void groupsByLengthWithinStretches() {
        List<CausalLmExample> examples = IntStream.of(3, 5, 4, 4, 1, 2, 9, 2, 2, 7, 6)
                .mapToObj(n -> CausalLmExample.of(new int[n])).toList();
        // sorted in pairs: 5 3 | 4 4 | 2 1 | 9 2 | 7 2 | 6; then 9 and 5 change places
        assertArrayEquals(new int[] {6, 0, 2, 3, 5, 4, 1, 7, 9, 8, 10},
                new BatchSampler<>(examples, 1, false, true, 0).order(0));
    }

    @Test
    void groupingSavesPaddingAndLosesNothing() {
        Random random = new Random(3);
        List<CausalLmExample> examples = IntStream.range(0, 1000)
                .mapToObj(i -> CausalLmExample.of(IntStream.generate(() -> i).limit(1 + random.nextInt(100)).toArray()))
                .toList();
        BatchSampler<CausalLmExample> plain = new BatchSampler<>(examples, 8, true, false, 5);
        BatchSampler<CausalLmExample> grouped = new BatchSampler<>(examples, 8, true, true, 5);
        assertEquals(IntStream.range(0, 1000).boxed().toList(), visited(grouped, 2).stream().sorted().toList());
        assertFalse(visited(grouped, 0).equals(visited(grouped, 1)));
        assertEquals(examples.stream().mapToInt(CausalLmExample::length).max().orElseThrow(),
                grouped.epoch(1).next().get(0).length());
        // Uniform lengths up to 100: the longest of eight is 89 on average, of eight neighbours in 248 it is 52
        assertTrue(padded(plain) > 85_000 && padded(grouped) < 56_000, padded(plain) + " and " + padded(grouped));
    }

    private static int padded(BatchSampler<CausalLmExample> sampler) {
        int[] sum = {0};
        sampler.epoch(0).forEachRemaining(batch -> sum[0] += batch.size()
                * batch.stream().mapToInt(CausalLmExample::length).max().orElseThrow());
        return sum[0];
    }
}
