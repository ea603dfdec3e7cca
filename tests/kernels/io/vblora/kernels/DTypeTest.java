package io.vblora.kernels;

import static io.vblora.kernels.global.vblora.VBL_BFLOAT16;
import static io.vblora.kernels.global.vblora.VBL_FLOAT16;
import static io.vblora.kernels.global.vblora.VBL_FLOAT32;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class DTypeTest {
    @Test
    void nativeTypesHaveTheNumbersOfTheHeader() {
        assertEquals(VBL_FLOAT32, DType.FLOAT32.nativeCode());
        assertEquals(VBL_BFLOAT16, DType.BFLOAT16.nativeCode());
        assertEquals(VBL_FLOAT16, DType.FLOAT16.nativeCode());
        List<DType> natives = List.of(DType.FLOAT32, DType.BFLOAT16, DType.FLOAT16);
        for (DType dtype : DType.values()) {
            assertEquals(natives.contains(dtype), dtype.isNativeFloat(), dtype::name);
            if (!dtype.isNativeFloat()) {
                assertThrows(IllegalArgumentException.class, dtype::nativeCode, dtype::name);
            }
        }
    }

    @Test
    void codesAndSizesAreThoseOfSafetensors() {
        assertEquals(List.of("F32 4", "BF16 2", "F16 2", "F64 8", "I64 8", "I32 4", "I16 2", "I8 1", "U8 1", "BOOL 1"),
                Arrays.stream(DType.values()).map(dtype -> dtype.code() + " " + dtype.bytes()).toList());
    }

    @Test
    void devicesAreNumberedFromZero() {
        assertEquals("cpu", Device.CPU.toString());
        assertEquals("cuda:2", Device.cuda(2).toString());
        assertThrows(IllegalArgumentException.class, () -> Device.cuda(-1));
        assertThrows(IllegalArgumentException.class, () -> new Device(-2));
        Device.Cuda cuda = Device.probeCuda();
        assertEquals(cuda.count() == 0, !cuda.reason().isEmpty(), cuda::toString);
        assertTrue(cuda.architectures().matches(cuda.compiledIn() ? "simt|[0-9].*" : "none"), cuda::toString);
        for (int i = 0; i < cuda.count(); i++) {
            Device.Properties properties = Device.cuda(i).properties();
            assertTrue(!properties.name().isEmpty() && properties.multiprocessors() > 0, properties::toString);
            assertTrue(properties.memoryBytes() > properties.l2Bytes() && properties.l2Bytes() > 0,
                    properties::toString);
        }
        assertThrows(KernelException.class, Device.CPU::properties);
        assertThrows(KernelException.class, Device.cuda(cuda.count())::properties);
    }
}
