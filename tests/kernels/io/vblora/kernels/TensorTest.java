package io.vblora.kernels;

import static io.vblora.kernels.global.vblora.VBL_NO_DEVICE;
import static io.vblora.kernels.global.vblora.VBL_OUT_OF_MEMORY;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteOrder;
import org.bytedeco.javacpp.FloatPointer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TensorTest {
    @Test
    void isAllocatedAlignedAndZero() {
        try (Tensor tensor = Tensor.allocate(Device.CPU, DType.FLOAT32, 3, 5)) {
            assertEquals(0, tensor.pointer().address() % 64);
            assertArrayEquals(new float[15], tensor.toFloats());
            assertTrue(tensor.hasShape(3, 5));
            assertFalse(tensor.hasShape(5, 3));
            assertEquals(2, tensor.rank());
            assertEquals(5, tensor.dimension(1));
            assertEquals(15, tensor.elements());
            assertEquals(60, tensor.bytes());
            assertEquals("FLOAT32[3, 5] on cpu", tensor.toString());
        }
    }

    @Test
    void holdsWhatIsCopiedIn() {
        try (Tensor floats = Tensor.of(new float[] {1, 2, 3, 4, 5, 6}, 2, 3);
                Tensor ints = Tensor.of(new int[] {7, 8, 9}, 3);
                Tensor copy = Tensor.allocate(Device.CPU, DType.FLOAT32, 6)) {
            assertArrayEquals(new float[] {1, 2, 3, 4, 5, 6}, copy.copyFrom(floats).toFloats());
            copy.setFloat(5, -1);
            assertEquals(-1, copy.getFloat(5));
            assertEquals(6, floats.getFloat(5));
            assertArrayEquals(new float[6], copy.zero().toFloats());
            assertArrayEquals(new int[] {4, 8, 9}, ints.copyFrom(4).toInts());
            assertEquals(ByteOrder.nativeOrder(), floats.buffer(4, 8).order());
            assertEquals(2, floats.buffer(4, 8).getFloat(0));
        }
    }

    @Test
    void refusesOtherTypesAndSizes() {
        try (Tensor floats = Tensor.of(new float[6], 2, 3); Tensor ints = Tensor.of(new int[6], 6)) {
            assertThrows(IllegalArgumentException.class, () -> floats.copyFrom(new float[5]));
            assertThrows(IllegalArgumentException.class, () -> floats.copyFrom(1, 2, 3, 4, 5, 6));
            assertThrows(IllegalArgumentException.class, () -> floats.copyFrom(ints));
            assertThrows(IllegalArgumentException.class, () -> ints.copyFrom(new int[7]));
            assertThrows(IllegalArgumentException.class, floats::toInts);
            assertThrows(IllegalArgumentException.class, floats::toDoubles);
            assertThrows(IllegalArgumentException.class, ints::toFloats);
            assertThrows(IllegalArgumentException.class, () -> ints.getLong(0));
            assertThrows(IndexOutOfBoundsException.class, () -> floats.getFloat(6));
            assertThrows(IndexOutOfBoundsException.class, () -> floats.setFloat(-1, 0));
            assertThrows(IllegalArgumentException.class, () -> floats.reshape(7));
        }
        assertThrows(IllegalArgumentException.class, () -> Tensor.allocate(Device.CPU, DType.FLOAT32, 2, -1));
        assertThrows(ArithmeticException.class, () -> Tensor.allocate(Device.CPU, DType.FLOAT32, 1L << 40, 1L << 40));
        assertEquals(VBL_OUT_OF_MEMORY, assertThrows(KernelException.class,
                () -> Tensor.allocate(Device.CPU, DType.FLOAT32, 1L << 58)).status());
    }

    @Test
    void viewsShareMemory() {
        try (Tensor tensor = Tensor.of(new float[] {0, 1, 2, 3, 4, 5}, 6)) {
            Tensor view = tensor.view(2, 2, 2);
            assertArrayEquals(new float[] {2, 3, 4, 5}, view.toFloats());
            view.view(3, 1).setFloat(0, 9);
            assertEquals(9, tensor.getFloat(5));
            assertTrue(tensor.reshape(3, 2).hasShape(3, 2));
            assertEquals(0, tensor.view(6, 0).elements());
            view.close();
            assertEquals(9, tensor.getFloat(5));
        }
    }

    @ParameterizedTest
    @CsvSource({"-1,1", "5,2", "7,0", "0,7", "9223372036854775807,1", "1,9223372036854775807"})
    void viewsOutOfRangeAreRefused(long first, long count) {
        try (Tensor tensor = Tensor.of(new float[6], 6)) {
            assertThrows(IllegalArgumentException.class, () -> tensor.view(first, count));
        }
    }

    @ParameterizedTest
    @CsvSource({"-1,1", "0,-1", "20,5", "25,0", "9223372036854775807,1"})
    void buffersOutOfRangeAreRefused(long offset, int length) {
        try (Tensor tensor = Tensor.of(new float[6], 6)) {
            assertThrows(IllegalArgumentException.class, () -> tensor.buffer(offset, length));
        }
    }

    @Test
    void isUnusableAfterClose() {
        Tensor tensor = Tensor.of(new float[6], 6);
        tensor.close();
        tensor.close();
        assertThrows(IllegalStateException.class, tensor::pointer);
        assertThrows(IllegalStateException.class, tensor::toFloats);
        assertThrows(IllegalStateException.class, tensor::zero);
        assertThrows(IllegalStateException.class, () -> tensor.view(0, 1));
        assertThrows(IllegalStateException.class, () -> tensor.buffer(0, 4));
    }

    @Test
    void viewsAreClosedWithTheirTensor() {
        Tensor tensor = Tensor.of(new float[6], 6);
        Tensor view = tensor.view(0, 2);
        Tensor viewOfView = view.reshape(2, 1);
        view.close();
        assertThrows(IllegalStateException.class, view::pointer);
        assertArrayEquals(new float[2], viewOfView.toFloats());
        tensor.close();
        assertThrows(IllegalStateException.class, viewOfView::pointer);
        assertThrows(IllegalStateException.class, viewOfView::toFloats);
        assertThrows(IllegalStateException.class, () -> viewOfView.view(0, 1));
        try (Tensor two = Tensor.of(new float[2], 2)) {
            assertThrows(IllegalStateException.class, () -> two.copyFrom(viewOfView));
            assertThrows(IllegalStateException.class, () -> viewOfView.copyFrom(two));
        }
    }

    @Test
    void wrapsMemoryOfOthers() {
        try (FloatPointer memory = new FloatPointer(1, 2, 3, 4)) {
            Tensor tensor = Tensor.wrap(Device.CPU, DType.FLOAT32, memory.getPointer(1), 3);
            assertArrayEquals(new float[] {2, 3, 4}, tensor.toFloats());
            assertEquals(3, Tensor.wrap(Device.CPU, DType.FLOAT32, memory.position(2), 1).getFloat(0));
            tensor.setFloat(0, 7);
            tensor.close();
            assertEquals(7, memory.position(0).get(1));
        }
    }

    @Test
    void memoryOfOtherDevicesIsNotInTheHostsAddressSpace() {
        try (FloatPointer memory = new FloatPointer(1, 2)) {
            Tensor tensor = Tensor.wrap(Device.cuda(999), DType.FLOAT32, memory, 2);
            assertThrows(IllegalStateException.class, () -> tensor.buffer(0, 4));
            for (Executable access : new Executable[] {tensor::toFloats, tensor::zero, () -> tensor.setFloat(1, 3),
                () -> tensor.copyFrom(3f, 4f)}) {
                KernelException e = assertThrows(KernelException.class, access);
                assertEquals(VBL_NO_DEVICE, e.status());
            }
            assertArrayEquals(new float[] {1, 2}, new float[] {memory.get(0), memory.get(1)});
        }
    }
}
