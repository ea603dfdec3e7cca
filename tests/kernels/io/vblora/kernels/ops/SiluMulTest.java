package io.vblora.kernels.ops;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.kernels.DType;
import io.vblora.kernels.KernelException;
import io.vblora.kernels.Matrix;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.TestDevice;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/**
 * That arguments reach the gated activation in their order. silu(0) is 0 with the slope 1/2, and silu(100) is 100 with
 * the slope 1, so that all numbers are exact in each type.
 */
@TestDevice.OnAny
class SiluMulTest {
    private final List<AutoCloseable> owned = new ArrayList<>();
    private final Stream stream = own(TestDevice.stream());

    private <T extends AutoCloseable> T own(T closeable) {
        owned.add(0, closeable);
        return closeable;
    }

    @AfterEach
    void close() throws Exception {
        for (AutoCloseable closeable : owned) {
            closeable.close();
        }
    }

    private Matrix rows(DType dtype, int rows, float... values) {
        Tensor floats = own(TestDevice.of(values, rows, values.length / rows));
        if (dtype == DType.FLOAT32) {
            return Matrix.of(floats);
        }
        Tensor converted = own(TestDevice.zeros(dtype, floats.shape()));
        Memory.convert(stream, floats, converted);
        return Matrix.of(converted);
    }

    private float[] values(Matrix matrix) {
        stream.synchronize();
        if (matrix.tensor().dtype() == DType.FLOAT32) {
            return matrix.tensor().toFloats();
        }
        Tensor floats = own(TestDevice.zeros(DType.FLOAT32, matrix.tensor().shape()));
        Memory.convert(stream, matrix.tensor(), floats);
        stream.synchronize();
        return floats.toFloats();
    }

    private static void refused(String name, Executable call) {
        IllegalArgumentException e = assertThrows(IllegalArgumentException.class, call);
        assertTrue(e.getMessage().startsWith(name + ":"), e.getMessage());
    }

    private void gatesAreColumns(DType dtype) {
        Matrix gated = rows(dtype, 2, 0, 3, 100, 2);
        Matrix gate = gated.columns(0, 1);
        Matrix up = gated.columns(1, 1);
        Matrix out = rows(dtype, 2, 9, 9);
        Transformer.siluMulForward(stream, gate, up, out);
        assertArrayEquals(new float[] {0, 200}, values(out));
        Matrix d = rows(dtype, 2, 0, 0, 0, 0);
        Transformer.siluMulBackward(stream, gate, up, rows(dtype, 2, 4, 5), d.columns(0, 1), d.columns(1, 1));
        assertArrayEquals(new float[] {6, 0, 10, 500}, values(d));
        refused("up", () -> Transformer.siluMulForward(stream, gate, out, out));
        refused("out", () -> Transformer.siluMulForward(stream, gate, up, gated));
        refused("dup", () -> Transformer.siluMulBackward(stream, gate, up, out, d.columns(0, 1), out));
    }

    @Test
    void gatesAreColumns() {
        gatesAreColumns(DType.FLOAT32);
    }

    @Test
    void narrowTypesAreForCudaDevices() {
        for (DType dtype : new DType[] {DType.BFLOAT16, DType.FLOAT16}) {
            if (TestDevice.DEVICE.isCpu()) {
                assertThrows(KernelException.class, () -> gatesAreColumns(dtype));
            } else {
                gatesAreColumns(dtype);
            }
        }
    }
}
