package io.vblora.data;

import java.util.Arrays;
import java.util.List;

/**
 * Examples padded at their end to the longest of them. Padding has token id 0, which is never read where attention is
 * causal, and label {@link Example#IGNORE_INDEX}.
 *
 * @param size examples
 * @param length tokens of the longest example
 * @param inputIds token ids, [size, length]
 * @param labels labels, not shifted, [size, length]
 * @param lengths tokens of each example, [size]
 */
public record Batch(int size, int length, int[] inputIds, int[] labels, int[] lengths) {
    /** Pads these examples, of which there must be at least one. */
    public static Batch of(List<Example> examples) {
        int size = examples.size();
        int length = examples.stream().mapToInt(Example::length).max().orElseThrow();
        int[] inputIds = new int[Math.multiplyExact(size, length)];
        int[] labels = new int[inputIds.length];
        int[] lengths = new int[size];
        Arrays.fill(labels, Example.IGNORE_INDEX);
        for (int row = 0; row < size; row++) {
            Example example = examples.get(row);
            lengths[row] = example.length();
            System.arraycopy(example.inputIds(), 0, inputIds, row * length, example.length());
            System.arraycopy(example.labels(), 0, labels, row * length, example.length());
        }
        return new Batch(size, length, inputIds, labels, lengths);
    }

    /**
     * Number of positions that count in the loss. The first label of a row never counts, since nothing comes before it.
     */
    public long countedLabels() {
        long n = 0;
        for (int i = 0; i < labels.length; i++) {
            n += i % length == 0 || labels[i] == Example.IGNORE_INDEX ? 0 : 1;
        }
        return n;
    }

    /** Tokens without padding. */
    public long tokens() {
        return Arrays.stream(lengths).asLongStream().sum();
    }
}
