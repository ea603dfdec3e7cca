package io.vblora.kernels;

import static io.vblora.kernels.TestDevice.DEVICE;
import static io.vblora.kernels.global.vblora.VBL_UNSUPPORTED;
import static io.vblora.kernels.global.vblora.vbl_allocated_bytes;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.kernels.ops.Memory;
import io.vblora.kernels.ops.StepState;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** Memory, copies, events and graphs of any device. */
@TestDevice.OnAny
class DeviceMemoryTest {
    @Test
    void elementsAreReadAndWrittenFromJava() {
        try (Tensor floats = TestDevice.of(new float[] {1, 2, 3}, 3); Tensor ints = TestDevice.of(new int[] {4, 5}, 2);
                Tensor doubles = TestDevice.zeros(DType.FLOAT64, 2); Tensor longs = TestDevice.zeros(DType.INT64, 2);
                Tensor host = Tensor.of(new float[] {7, 8, 9}, 3)) {
            floats.setFloat(1, -2);
            assertArrayEquals(new float[] {1, -2, 3}, floats.toFloats());
            assertEquals(3, floats.getFloat(2));
            assertEquals(-2, floats.view(1, 2).getFloat(0));
            ints.copyFrom(6);
            assertArrayEquals(new int[] {6, 5}, ints.toInts());
            assertArrayEquals(new double[2], doubles.toDoubles());
            assertEquals(0, longs.getLong(1));
            floats.copyFrom(host);
            assertArrayEquals(new float[] {7, 8, 9}, floats.toFloats());
            host.copyFrom(floats.zero());
            assertArrayEquals(new float[3], host.toFloats());
        }
    }

    @Test
    void copiesInTheStreamsOrder() {
        try (Stream stream = TestDevice.stream(); Stream other = TestDevice.stream(); Event event = new Event(DEVICE);
                Tensor host = Tensor.of(new float[] {1, 2}, 2); Tensor back = Tensor.of(new float[2], 2);
                Tensor first = TestDevice.zeros(DType.FLOAT32, 2); Tensor second = TestDevice.zeros(DType.FLOAT32, 2)) {
            Memory.copy(stream, host, first);
            event.record(stream);
            other.waitFor(event);
            Memory.copy(other, first, second);
            Memory.copy(other, second, back);
            other.synchronize();
            assertArrayEquals(new float[] {1, 2}, back.toFloats());
            assertTrue(event.isDone());
            event.synchronize();
        }
    }

    @Test
    void timesWork() {
        try (Stream stream = TestDevice.stream(); Event start = new Event(DEVICE); Event end = new Event(DEVICE);
                Tensor tensor = TestDevice.zeros(DType.FLOAT32, 1 << 16)) {
            KernelException e = assertThrows(KernelException.class, start::isDone);
            assertTrue(e.getMessage().contains("never recorded"), e::getMessage);
            start.record(stream);
            Memory.zero(stream, tensor);
            end.record(stream);
            end.synchronize();
            assertTrue(end.millisecondsSince(start) >= 0);
            end.close();
            assertThrows(IllegalStateException.class, end::isDone);
        }
    }

    @Test
    void convertsBetweenAllTypes() {
        float[] values = {1, -2.5f, 65504, 0.1f, Float.POSITIVE_INFINITY, 1e-8f, 0};
        try (Stream stream = TestDevice.stream(); Tensor floats = TestDevice.of(values, 7);
                Tensor half = TestDevice.zeros(DType.FLOAT16, 7); Tensor brain = TestDevice.zeros(DType.BFLOAT16, 7)) {
            Memory.convert(stream, floats, half);
            Memory.convert(stream, half, brain);
            Memory.convert(stream, brain, floats);
            // 65504, the largest float16, has no bfloat16 next to it but 65536; 0.1 as float16 is 0.0999756, as
            // bfloat16 then 0.1000977 (51.25 · 2^-9); 1e-8 is nearer to 0 than to the least float16, 6e-8.
            assertArrayEquals(new float[] {1, -2.5f, 65536, 0.10009765625f, Float.POSITIVE_INFINITY, 0, 0},
                    floats.toFloats());
        }
    }

    @Test
    void graphsReplayWithWhatMemoryHoldsThen() {
        try (Stream stream = TestDevice.stream(); Tensor source = TestDevice.of(new float[] {1}, 1);
                Tensor destination = TestDevice.zeros(DType.FLOAT32, 1)) {
            Runnable copy = () -> Memory.copy(stream, source, destination);
            if (DEVICE.isCpu()) {
                KernelException e = assertThrows(KernelException.class, () -> Graph.capture(stream, copy));
                assertEquals(VBL_UNSUPPORTED, e.status());
                return;
            }
            try (Graph graph = Graph.capture(stream, copy)) {
                stream.synchronize();
                assertEquals(0, destination.getFloat(0), "nothing runs while it is captured");
                for (float value : new float[] {2, 3}) {
                    source.setFloat(0, value);
                    graph.launch(stream);
                    stream.synchronize();
                    assertEquals(value, destination.getFloat(0));
                }
                graph.close();
                assertThrows(IllegalStateException.class, () -> graph.launch(stream));
            }
            assertThrows(IllegalArgumentException.class, () -> Graph.capture(stream, () -> {
                throw new IllegalArgumentException("not an op");
            }));
            copy.run();
            stream.synchronize();
            assertEquals(3, destination.getFloat(0), "the stream is usable after a capture that failed");
        }
    }

    @Test
    void streamsOfOthersAreUsedAsTheyAre() {
        try (Stream stream = TestDevice.stream()) {
            if (DEVICE.isCpu()) {
                assertNull(stream.cudaStream());
                assertThrows(KernelException.class, () -> Stream.wrap(DEVICE, null));
                return;
            }
            assertNotNull(stream.cudaStream());
            try (Stream same = Stream.wrap(DEVICE, stream.cudaStream()); Stream defaults = Stream.wrap(DEVICE, null);
                    Tensor tensor = TestDevice.of(new float[] {1}, 1)) {
                assertEquals(stream.cudaStream(), same.cudaStream());
                Memory.zero(same, tensor);
                stream.synchronize();
                assertEquals(0, tensor.getFloat(0));
                Memory.zero(defaults, tensor);
            }
            stream.synchronize();
        }
    }

    @Test
    void closingAStreamOfOthersLeavesTheirCaptureAlone() {
        Assumptions.assumeFalse(DEVICE.isCpu(), "the CPU has no graphs");
        try (Stream owner = TestDevice.stream(); Tensor source = TestDevice.of(new float[] {5}, 1);
                Tensor destination = TestDevice.zeros(DType.FLOAT32, 1);
                Graph graph = Graph.capture(owner, () -> {
                    try (Stream wrapped = Stream.wrap(DEVICE, owner.cudaStream())) {
                        Memory.copy(wrapped, source, destination);
                    }
                })) {
            graph.launch(owner);
            owner.synchronize();
            assertEquals(5, destination.getFloat(0));
        }
    }

    @Test
    void givesBackMemory() {
        NativeLibrary.load();
        long before = vbl_allocated_bytes();
        for (int i = 0; i < 10; i++) {
            try (Tensor tensor = TestDevice.zeros(DType.FLOAT32, 1000); Arena arena = Arena.on(DEVICE);
                    StepState step = new StepState(DEVICE)) {
                arena.reserve(100);
                assertTrue(vbl_allocated_bytes() >= before + 4100, tensor::toString);
                assertEquals(1, step.step());
            }
            assertEquals(before, vbl_allocated_bytes());
        }
    }

    @Test
    void pinnedMemoryNeedsACudaDevice() {
        if (DEVICE.isCpu()) {
            if (Device.probeCuda().count() == 0) {
                assertThrows(KernelException.class, () -> Tensor.pinned(DType.FLOAT32, 2));
            }
            return;
        }
        try (Tensor pinned = Tensor.pinned(DType.FLOAT32, 2).copyFrom(3f, 4f); Stream stream = TestDevice.stream();
                Tensor tensor = TestDevice.zeros(DType.FLOAT32, 2)) {
            assertTrue(pinned.device().isCpu());
            Memory.copy(stream, pinned, tensor);
            stream.synchronize();
            assertArrayEquals(new float[] {3, 4}, tensor.toFloats());
        }
    }
}
