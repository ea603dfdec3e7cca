package io.vblora.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

class MatrixTest {
    @Test
    void columnsBeginWhereTheyLie() {
        try (Tensor tensor = Tensor.of(new float[] {0, 1, 2, 3, 4, 5, 6, 7}, 2, 4)) {
            Matrix middle = Matrix.of(tensor).columns(1, 3).columns(1, 1);
            assertEquals(2, middle.rows());
            assertEquals(1, middle.columns());
            assertEquals(4, middle.rowStride());
            assertEquals(tensor.pointer().address() + 2 * Float.BYTES, middle.pointer().address());
            assertEquals(6, middle.tensor().getFloat(middle.rowStride()));
            assertEquals(0, Matrix.of(tensor).columns(4, 0).columns());
        }
    }

    @Test
    void whatDoesNotLieInTheTensorIsRefused() {
        try (Tensor tensor = Tensor.of(new float[8], 2, 4); Tensor flat = Tensor.of(new float[8], 8)) {
            Matrix whole = Matrix.of(tensor);
            assertThrows(IllegalArgumentException.class, () -> whole.columns(2, 3));
            assertThrows(IllegalArgumentException.class, () -> whole.columns(-1, 1));
            assertThrows(IllegalArgumentException.class, () -> whole.columns(0, -1));
            assertThrows(IllegalArgumentException.class, () -> Matrix.of(flat));
            assertThrows(IllegalArgumentException.class, () -> new Matrix(tensor, 2, 3));
            assertThrows(IllegalArgumentException.class, () -> new Matrix(tensor, 3, 3));
            assertThrows(IllegalArgumentException.class, () -> new Matrix(tensor, 2, 3, 2));
            assertThrows(IllegalArgumentException.class, () -> new Matrix(tensor, -1, 3, 3));
            assertThrows(IllegalArgumentException.class, () -> new Matrix(tensor, 2, 4, 5));
            assertThrows(ArithmeticException.class, () -> new Matrix(tensor, Long.MAX_VALUE, 1, 2));
            assertEquals(3, new Matrix(tensor, 2, 3, 5).columns());
        }
    }
}
