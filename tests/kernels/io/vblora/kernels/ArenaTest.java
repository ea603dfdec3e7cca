package io.vblora.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.Random;
import org.junit.jupiter.api.Test;

class ArenaTest {
    /** A tensor taken, the mark before it, and the value that all its elements have. */
    private record Taken(Tensor tensor, long mark, float value) {}

    /** Takes and releases at random; on a real arena writes to all tensors and checks that none changes another. */
    private static void pass(Arena arena, long seed, boolean planning) {
        Random random = new Random(seed);
        Deque<Taken> taken = new ArrayDeque<>();
        for (int i = 0; i < 200; i++) {
            if (!taken.isEmpty() && random.nextInt(3) == 0) {
                Taken last = taken.pop();
                if (!planning) {
                    for (float value : last.tensor.toFloats()) {
                        assertEquals(last.value, value, () -> "seed " + seed);
                    }
                }
                arena.release(last.mark);
            } else {
                long mark = arena.mark();
                float[] values = new float[random.nextInt(100)];
                Arrays.fill(values, i);
                Tensor tensor = arena.floats(values.length);
                assertEquals(0, tensor.pointer().address() % 64, () -> "seed " + seed);
                taken.push(new Taken(planning ? tensor : tensor.copyFrom(values), mark, i));
            }
        }
    }

    @Test
    void planEqualsExecution() {
        long first = Long.parseLong(System.getenv().getOrDefault("VBLORA_TEST_SEED", "1"));
        for (long seed = first; seed < first + 20; seed++) {
            String message = "seed " + seed;
            try (Arena plan = Arena.planning(Device.CPU); Arena arena = Arena.on(Device.CPU)) {
                pass(plan, seed, true);
                arena.reserve(plan.peak());
                pass(arena, seed, false);
                assertEquals(plan.peak(), arena.peak(), message);
                assertEquals(plan.mark(), arena.mark(), message);
            }
            try (Arena plan = Arena.planning(Device.CPU); Arena tooSmall = Arena.on(Device.CPU)) {
                pass(plan, seed, true);
                tooSmall.reserve(plan.peak() - 1);
                long same = seed;
                assertThrows(IllegalStateException.class, () -> pass(tooSmall, same, false), message);
            }
        }
    }

    @Test
    void keepsLargerMemory() {
        try (Arena arena = Arena.on(Device.CPU)) {
            arena.reserve(1000);
            Tensor first = arena.take(DType.UINT8, 960);
            arena.release(0);
            arena.reserve(10);
            assertEquals(first.pointer().address(), arena.take(DType.UINT8, 960).pointer().address());
        }
    }

    @Test
    void refusesWrongUse() {
        try (Arena arena = Arena.on(Device.CPU); Arena plan = Arena.planning(Device.CPU)) {
            assertThrows(IllegalStateException.class, () -> arena.floats(1));
            assertThrows(IllegalStateException.class, () -> plan.reserve(64));
            arena.reserve(128);
            long mark = arena.mark();
            arena.floats(4);
            assertThrows(IllegalStateException.class, () -> arena.reserve(256));
            assertThrows(IllegalArgumentException.class, () -> arena.release(65));
            assertThrows(IllegalArgumentException.class, () -> arena.release(-1));
            assertThrows(IllegalStateException.class, () -> arena.floats(100));
            assertThrows(ArithmeticException.class, () -> plan.floats(1L << 62));
            arena.release(mark);
            assertTrue(arena.peak() >= 64);
        }
    }

    @Test
    void isUnusableAfterClose() {
        Arena arena = Arena.on(Device.CPU);
        arena.reserve(128);
        arena.close();
        arena.close();
        assertThrows(IllegalStateException.class, () -> arena.floats(1));
    }
}
