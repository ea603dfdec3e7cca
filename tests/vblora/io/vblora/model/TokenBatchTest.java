package io.vblora.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.util.List;
import org.junit.jupiter.api.Test;

/** What a batch says of its sequences; what it refuses, {@link BertModelTest} says. */
class TokenBatchTest {
    private final TokenBatch batch = TokenBatch.of(List.of(new int[] {5, 6}, new int[] {7, 8, 9}),
            List.of(new int[] {0, 1}, new int[] {0, 0, 1}));

    @Test
    void sequencesLieOneBehindTheOther() {
        assertArrayEquals(new int[] {0, 2, 5}, batch.starts());
        assertArrayEquals(new int[] {5, 6, 7, 8, 9}, batch.inputIds());
        assertArrayEquals(new int[] {0, 1, 0, 0, 1}, batch.tokenTypeIds());
        assertEquals(2, batch.size());
        assertEquals(5, batch.tokens());
        assertEquals(2, batch.length(0));
        assertEquals(3, batch.longest());
        assertNull(TokenBatch.of(new int[] {1}, new int[] {2, 3}).tokenTypeIds());
    }

    @Test
    void eachSequenceCountsItsTokensAndEndsByItself() {
        assertArrayEquals(new int[] {2, 3, 2, 3, 4}, batch.positions(2));
        assertArrayEquals(new int[] {11, -100, 13, 14, -100}, batch.next(new int[] {10, 11, 12, 13, 14}, -100));
    }
}
