package io.vblora.blas;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.kernels.Arena;
import io.vblora.kernels.Device;
import io.vblora.kernels.Matrix;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** That matrices reach the library as they are described; the numbers are worked by hand. */
class BlasTest {
    private final Stream stream = Stream.cpu(1);
    private final Arena arena = Arena.on(Device.CPU);
    private final Blas blas = Blas.on(Device.CPU);
    private final Tensor a = Tensor.of(new float[] {1, 2, 3, 4, 5, 6}, 2, 3);
    private final Tensor b = Tensor.of(new float[] {1, 0, 1, 0, 2, 0}, 2, 3);

    BlasTest() {
        arena.reserve(1 << 10);
    }

    @AfterEach
    void close() {
        b.close();
        a.close();
        arena.close();
        stream.close();
    }

    @Test
    void columnsOfWiderMatricesAreReadAndWritten() {
        try (Tensor c = Tensor.of(new float[] {10, 20, 30, 40}, 2, 2);
                Tensor d = Tensor.of(new float[] {7, 7, 7, 7, 7, 7, 7, 7}, 2, 4)) {
            Matrix columns = Matrix.of(d).columns(1, 2);
            blas.gemm(stream, arena, false, true, Matrix.of(a), Matrix.of(b), 0.5f, Matrix.of(c), columns);
            assertArrayEquals(new float[] {7, 9, 14, 7, 7, 25, 30, 7}, d.toFloats());
            // The last two columns of a, times those of b: [[2, 3], [5, 6]] · [[0, 2], [1, 0]].
            Matrix last = Matrix.of(a).columns(1, 2);
            blas.gemm(stream, arena, false, true, last, Matrix.of(b).columns(1, 2), 0, null, columns);
            assertArrayEquals(new float[] {7, 3, 4, 7, 7, 6, 10, 7}, d.toFloats());
            // Its transpose times the second and third column of d: [[2, 5], [3, 6]] · [[3, 4], [6, 10]].
            blas.gemm(stream, arena, true, false, last, columns, 1, Matrix.of(c), Matrix.of(c));
            assertArrayEquals(new float[] {46, 78, 75, 112}, c.toFloats());
        }
    }

    @Test
    void matricesOfOtherSizesAreRefused() {
        try (Tensor d = Tensor.of(new float[4], 2, 2)) {
            Matrix left = Matrix.of(a);
            Matrix right = Matrix.of(b);
            Matrix result = Matrix.of(d);
            refused("a", () -> blas.gemm(stream, arena, true, true, left, right, 0, null, result));
            refused("b", () -> blas.gemm(stream, arena, false, false, left, right, 0, null, result));
            refused("c", () -> blas.gemm(stream, arena, false, true, left, right, 1, left, result));
        }
    }

    private static void refused(String name, Executable call) {
        String message = assertThrows(IllegalArgumentException.class, call).getMessage();
        assertTrue(message.startsWith(name + ":"), message);
    }
}
