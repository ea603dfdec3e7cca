package io.vblora.model;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/** Batches out of rows that are padded at their end to one length, as other programs write them. */
public final class PaddedRows {
    private PaddedRows() {}

    /** What is not padding of values [lengths.length · length], a row for each sequence. */
    static List<int[]> rows(int length, int[] values, int[] lengths) {
        return IntStream.range(0, lengths.length)
                .mapToObj(row -> Arrays.copyOfRange(values, row * length, row * length + lengths[row])).toList();
    }

    /** The same, packed. */
    public static int[] pack(int length, int[] values, int[] lengths) {
        return TokenBatch.pack(rows(length, values, lengths));
    }

    /** @param tokenTypeIds may be null */
    public static TokenBatch batch(int length, int[] inputIds, int[] tokenTypeIds, int[] lengths) {
        List<int[]> ids = rows(length, inputIds, lengths);
        return tokenTypeIds == null ? TokenBatch.of(ids) : TokenBatch.of(ids, rows(length, tokenTypeIds, lengths));
    }
}
