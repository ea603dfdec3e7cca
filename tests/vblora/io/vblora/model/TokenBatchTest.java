package io.vblora.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.List;
import org.junit.jupiter.api.Test;

/** What a batch says of its sequences; what it refuses, {@link BertModelTest} says. */
class TokenBatchTest {
    private final TokenBatch batch = TokenBatch.of(List.of(new int[] {5, 6}, new int[] {}, new int[] {7, 8, 9}),
            List.of(new int[] {0, 1}, new int[] {}, new int[] {0, 0, 1}));

    @Test
    void sequencesLieOneBehindTheOther() {
        assertArrayEquals(new int[] {0, 2, 2, 5}, batch.starts());
        assertArrayEquals(new int[] {5, 6, 7, 8, 9}, batch.inputIds());
        assertArrayEquals(new int[] {0, 1, 0, 0, 1}, batch.tokenTypeIds());
        assertEquals(3, batch.size());
        assertEquals(5, batch.tokens());
        assertEquals(0, batch.length(1));
        assertEquals(new Bucket(3, 5, 3), batch.bucket());
        assertNull(TokenBatch.of(new int[] {1}, new int[] {2, 3}).tokenTypeIds());
    }

    @Test
    void sequencesOfZerosAndEmptyOnesFillABucket() {
        Bucket bucket = new Bucket(7, 14, 4);
        TokenBatch padded = batch.padded(bucket);
        assertEquals(bucket, padded.bucket());
        assertArrayEquals(new int[] {0, 2, 2, 5, 9, 13, 14, 14}, padded.starts());
        assertArrayEquals(new int[] {5, 6, 7, 8, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0}, padded.inputIds());
        assertArrayEquals(new int[] {0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, padded.tokenTypeIds());
        for (Bucket small : List.of(new Bucket(2, 14, 4), new Bucket(7, 4, 4), new Bucket(7, 14, 2),
                new Bucket(5, 14, 4))) {
            assertThrows(IllegalArgumentException.class, () -> batch.padded(small));
        }
    }

    @Test
    void eachSequenceCountsItsTokensAndEndsByItself() {
        assertArrayEquals(new int[] {2, 3, 2, 3, 4}, batch.positions(2));
        assertArrayEquals(new int[] {11, -100, 13, 14, -100}, batch.next(new int[] {10, 11, 12, 13, 14}, -100));
    }
}
