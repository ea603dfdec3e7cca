package io.vblora.kernels;

import static io.vblora.kernels.global.vblora.VBL_INVALID_ARGUMENT;
import static io.vblora.kernels.global.vblora.VBL_NO_DEVICE;
import static io.vblora.kernels.global.vblora.VBL_OK;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.kernels.ops.GradientNorm;
import io.vblora.kernels.ops.Memory;
import io.vblora.kernels.ops.Transformer;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import org.bytedeco.javacpp.FloatPointer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class StreamTest {
    @Test
    void hasTheThreadsAskedFor() {
        try (Stream three = Stream.cpu(3); Stream some = Stream.cpu(0)) {
            assertEquals(3, three.threads());
            assertTrue(some.threads() >= 1);
            assertEquals(Device.CPU, three.device());
            assertFalse(three.isPlanning());
            three.synchronize();
        }
        assertTrue(Set.of("avx512", "avx2", "generic").contains(Stream.cpuInstructionSet()));
    }

    @ParameterizedTest
    @ValueSource(ints = {-1, 1025, Integer.MAX_VALUE})
    void refusesOtherNumbersOfThreads(int threads) {
        KernelException e = assertThrows(KernelException.class, () -> Stream.cpu(threads));
        assertEquals(VBL_INVALID_ARGUMENT, e.status());
        assertTrue(e.getMessage().contains(Integer.toString(threads)), e::getMessage);
    }

    @Test
    void aMissingDeviceIsAnError() {
        KernelException e = assertThrows(KernelException.class, () -> Stream.on(Device.cuda(999), 1));
        assertEquals(VBL_NO_DEVICE, e.status(), e::getMessage);
        assertThrows(KernelException.class, () -> Tensor.allocate(Device.cuda(999), DType.FLOAT32, 1));
    }

    @Test
    void isUnusableAfterClose() {
        Stream stream = Stream.cpu(2);
        Stream planning = stream.planning();
        stream.close();
        stream.close();
        assertThrows(IllegalStateException.class, () -> stream.scratchBytes(handle -> 0));
        assertThrows(IllegalStateException.class, () -> stream.run(handle -> 0));
        assertThrows(IllegalStateException.class, stream::synchronize);
        assertThrows(IllegalStateException.class, stream::planning);
        try (Tensor tensor = Tensor.of(new float[1], 1)) {
            assertThrows(IllegalStateException.class, () -> Memory.zero(stream, tensor));
            assertThrows(IllegalStateException.class, () -> Memory.zero(planning, tensor));
            assertThrows(IllegalStateException.class, () -> GradientNorm.sumSquaresScratchBytes(planning, 1));
            assertThrows(IllegalStateException.class, planning::planning);
        }
    }

    /** An op that waits in the middle stands for a long one. */
    @Test
    void anotherThreadNeitherRunsNorClosesWhileAnOpRuns() throws Exception {
        Stream stream = Stream.cpu(1);
        CountDownLatch running = new CountDownLatch(1);
        CountDownLatch end = new CountDownLatch(1);
        CompletableFuture<Void> op = CompletableFuture.runAsync(() -> stream.run(handle -> {
            running.countDown();
            try {
                end.await();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
            return VBL_OK;
        }));
        running.await();
        try (Tensor tensor = Tensor.of(new float[] {1}, 1)) {
            for (Executable call : new Executable[] {stream::close, stream::synchronize,
                () -> Memory.zero(stream, tensor),
                () -> GradientNorm.sumSquaresScratchBytes(stream.planning(), 1)}) {
                IllegalStateException e = assertThrows(IllegalStateException.class, call);
                assertEquals("The stream is in use by another thread: one thread at a time runs ops on it",
                        e.getMessage());
            }
            assertEquals(1, tensor.getFloat(0));
            end.countDown();
            op.get();
            Memory.zero(stream, tensor);
            assertEquals(0, tensor.getFloat(0));
        }
        assertThrows(IllegalArgumentException.class, () -> stream.run(handle -> {
            throw new IllegalArgumentException();
        }));
        stream.synchronize();
        stream.close();
    }

    @Test
    void planningChecksAndDoesNothing() {
        try (Stream stream = Stream.cpu(1); Tensor two = Tensor.of(new float[] {1, 2}, 2);
                Tensor three = Tensor.of(new float[] {1, 2, 3}, 3)) {
            Stream planning = stream.planning();
            assertTrue(planning.isPlanning());
            Memory.zero(planning, two);
            assertArrayEquals(new float[] {1, 2}, two.toFloats());
            assertThrows(IllegalArgumentException.class, () -> Memory.copy(planning, two, three));
            planning.close();
            Memory.zero(stream, two);
            assertArrayEquals(new float[2], two.toFloats());
        }
    }

    @Test
    void opsRefuseWrongTensorsByName() {
        try (Stream stream = Stream.cpu(1); Tensor row = Tensor.of(new float[] {1, 2}, 1, 2);
                Tensor three = Tensor.of(new float[] {1, 2, 3}, 3); Tensor ints = Tensor.of(new int[2], 2);
                FloatPointer memory = new FloatPointer(2)) {
            Tensor elsewhere = Tensor.wrap(Device.cuda(0), DType.FLOAT32, memory, 2);
            for (Tensor wrong : new Tensor[] {three, ints, elsewhere}) {
                IllegalArgumentException e = assertThrows(IllegalArgumentException.class,
                        () -> Transformer.addBias(stream, wrong, Matrix.of(row)));
                assertTrue(e.getMessage().startsWith("bias: found " + wrong.dtype()), e::getMessage);
                assertTrue(e.getMessage().contains("expected FLOAT32 of 2 elements on cpu"), e::getMessage);
            }
            assertArrayEquals(new float[] {1, 2}, row.toFloats());
        }
    }
}
