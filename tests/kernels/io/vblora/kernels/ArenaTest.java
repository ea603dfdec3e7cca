package io.vblora.kernels;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.kernels.ops.Memory;
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
                if (!planning) {
                    assertEquals(0, tensor.pointer().address() % 64, () -> "seed " + seed);
                }
                taken.push(new Taken(planning ? tensor : tensor.copyFrom(values), mark, i));
            }
        }
    }

    /** Passes that each need a little more than the one before do not each allocate. */
    @Test
    void growsByHalf() {
        try (Arena arena = Arena.on(Device.CPU)) {
            arena.reserve(1024);
            assertThrows(IllegalStateException.class, () -> arena.take(DType.UINT8, 1025));
            arena.reserve(1025);
            assertEquals(1536, arena.take(DType.UINT8, 1536).bytes());
            assertThrows(IllegalStateException.class, () -> arena.take(DType.UINT8, 1));
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
            long first = arena.take(DType.UINT8, 960).pointer().address();
            arena.release(0);
            arena.reserve(10);
            assertEquals(first, arena.take(DType.UINT8, 960).pointer().address());
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
        Tensor tensor = arena.floats(2);
        arena.close();
        arena.close();
        assertThrows(IllegalStateException.class, () -> arena.floats(1));
        assertThrows(IllegalStateException.class, tensor::zero);
    }

    @Test
    void releasedTensorsAndTheirViewsAreClosed() {
        try (Arena arena = Arena.on(Device.CPU)) {
            arena.reserve(256);
            Tensor kept = arena.floats(4).zero();
            Tensor emptyBefore = arena.floats(0);
            long mark = arena.mark();
            Tensor emptyAfter = arena.floats(0);
            Tensor released = arena.floats(4).zero();
            Tensor view = released.view(1, 2);
            arena.release(mark);
            // What is taken next lies where the released tensors lay.
            Tensor next = arena.floats(4).zero();
            assertArrayEquals(new float[4], kept.toFloats());
            assertArrayEquals(new float[0], emptyBefore.toFloats());
            assertArrayEquals(new float[4], next.toFloats());
            for (Tensor closed : new Tensor[] {emptyAfter, released, view}) {
                assertThrows(IllegalStateException.class, closed::pointer);
                assertThrows(IllegalStateException.class, closed::toFloats);
            }
            arena.release(0);
            arena.reserve(512);
            assertThrows(IllegalStateException.class, kept::pointer);
            assertThrows(IllegalStateException.class, next::pointer);
        }
    }

    @Test
    void plannedTensorsHaveShapesAlone() {
        try (Arena plan = Arena.planning(Device.CPU); Stream stream = Stream.cpu(1); Tensor real =
                Tensor.of(new float[2], 2)) {
            Tensor planned = plan.floats(10);
            Tensor view = planned.view(2, 4, 2).reshape(8);
            assertTrue(view.hasShape(8));
            for (Tensor tensor : new Tensor[] {planned, view}) {
                assertThrows(IllegalStateException.class, tensor::pointer);
                assertThrows(IllegalStateException.class, tensor::zero);
                assertThrows(IllegalStateException.class, tensor::toFloats);
                assertThrows(IllegalStateException.class, () -> tensor.setFloat(0, 1));
                assertThrows(IllegalStateException.class, () -> tensor.buffer(0, 4));
                assertThrows(IllegalStateException.class, () -> Memory.zero(stream, tensor));
            }
            assertThrows(IllegalStateException.class, () -> planned.view(0, 2).copyFrom(real));
            Memory.zero(stream.planning(), planned);
        }
    }
}
