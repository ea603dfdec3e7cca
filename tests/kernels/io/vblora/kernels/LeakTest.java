package io.vblora.kernels;

import static io.vblora.kernels.global.vblora.vbl_allocated_bytes;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.kernels.ops.ActiveSet;
import io.vblora.kernels.ops.AdamWGroups;
import io.vblora.kernels.ops.AdmixtureShape;
import io.vblora.kernels.ops.StepState;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Whatever is opened gives back all it took when it is closed, with no help of the garbage collector. */
class LeakTest {
    private static final int ROUNDS = 100;

    private static long count(String folder) throws IOException {
        try (java.util.stream.Stream<Path> entries = Files.list(Path.of("/proc/self", folder))) {
            return entries.count();
        }
    }

    private static void assertGivesBackMemory(Supplier<AutoCloseable> open) throws Exception {
        NativeLibrary.load();
        long before = vbl_allocated_bytes();
        try (AutoCloseable opened = open.get()) {
            assertTrue(vbl_allocated_bytes() > before, "nothing was allocated");
        }
        assertEquals(before, vbl_allocated_bytes());
    }

    @Test
    void memory() throws Exception {
        assertGivesBackMemory(() -> Tensor.allocate(Device.CPU, DType.FLOAT32, 1000));
        assertGivesBackMemory(() -> {
            Arena arena = Arena.on(Device.CPU);
            arena.reserve(100);
            arena.reserve(1000);
            return arena;
        });
        assertGivesBackMemory(() -> new StepState(Device.CPU));
        assertGivesBackMemory(() -> new AdamWGroups(Device.CPU, 2));
        AdmixtureShape shape = new AdmixtureShape(10, 20, 4, 2, null);
        assertGivesBackMemory(() -> new ActiveSet(Device.CPU, shape, 8, 4));
    }

    @Test
    void refusedAllocationsTakeNothing() {
        NativeLibrary.load();
        long before = vbl_allocated_bytes();
        assertThrows(KernelException.class, () -> Tensor.allocate(Device.CPU, DType.UINT8, Long.MAX_VALUE));
        assertThrows(IllegalArgumentException.class, () -> Tensor.of(new float[3], 4));
        assertThrows(IllegalArgumentException.class, () -> Tensor.of(new int[3], 2));
        assertThrows(IllegalArgumentException.class, () -> Tensor.of(new int[3], 4));
        Tensors tensors = new Tensors(Device.CPU);
        Tensor first = tensors.allocate(DType.FLOAT32, 4);
        assertEquals(16, tensors.bytes());
        assertThrows(KernelException.class, () -> tensors.allocate(DType.UINT8, Long.MAX_VALUE));
        assertThrows(IllegalStateException.class, first::pointer);
        assertEquals(before, vbl_allocated_bytes());
    }

    @Test
    void threads() throws IOException {
        Stream.cpu(4).close();
        long before = count("task");
        for (int i = 0; i < ROUNDS; i++) {
            Stream.cpu(4).close();
        }
        long after = count("task");
        // The JVM starts and ends a few of its own.
        assertTrue(after < before + ROUNDS / 2, () -> before + " threads before, " + after + " after");
    }

    @Test
    void files(@TempDir Path folder) throws IOException {
        Path path = Files.write(folder.resolve("file"), new byte[1]);
        long before = count("fd");
        for (int i = 0; i < ROUNDS; i++) {
            new NativeFile(path).close();
            assertThrows(KernelException.class, () -> new NativeFile(folder));
        }
        long after = count("fd");
        assertTrue(after < before + ROUNDS / 2, () -> before + " open files before, " + after + " after");
    }
}
