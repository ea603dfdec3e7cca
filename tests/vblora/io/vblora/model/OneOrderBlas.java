package io.vblora.model;

import io.vblora.blas.Blas;
import io.vblora.kernels.Arena;
import io.vblora.kernels.Matrix;
import io.vblora.kernels.Stream;

/** Adds up every element of a product in the same order, where libraries choose theirs by the number of rows. */
final class OneOrderBlas implements Blas {
    @Override
    public void gemm(Stream stream, Arena arena, boolean transA, boolean transB, Matrix a, Matrix b,
            float beta, Matrix c, Matrix d) {
        if (stream.isPlanning()) {
            return;
        }
        long k = transA ? a.rows() : a.columns();
        float[] left = a.tensor().toFloats();
        float[] right = b.tensor().toFloats();
        float[] addend = beta == 0 ? null : c.tensor().toFloats();
        float[] result = d.tensor().toFloats();
        for (long row = 0; row < d.rows(); row++) {
            for (long column = 0; column < d.columns(); column++) {
                float sum = 0;
                for (long i = 0; i < k; i++) {
                    sum += left[transA ? at(a, i, row) : at(a, row, i)]
                            * right[transB ? at(b, column, i) : at(b, i, column)];
                }
                result[at(d, row, column)] = sum + (beta == 0 ? 0 : beta * addend[at(c, row, column)]);
            }
        }
        d.tensor().copyFrom(result);
    }

    private static int at(Matrix matrix, long row, long column) {
        return Math.toIntExact(row * matrix.rowStride() + column);
    }
}
