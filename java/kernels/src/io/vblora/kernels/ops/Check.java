package io.vblora.kernels.ops;

import io.vblora.kernels.DType;
import io.vblora.kernels.Matrix;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import java.util.Arrays;

/** Argument checks of the ops. */
final class Check {
    private Check() {}

    /** Requires a tensor on the stream's device, of a type and of so many elements. */
    static void elements(Stream stream, String name, Tensor tensor, DType dtype, long elements) {
        if (tensor.dtype() != dtype || tensor.elements() != elements || !tensor.device().equals(stream.device())) {
            throw refusal(stream, name, tensor, dtype + " of " + elements + " elements");
        }
    }

    /** The same of a tensor that may also be on the CPU. */
    static void reachable(Stream stream, String name, Tensor tensor, DType dtype, long elements) {
        if (tensor.dtype() != dtype || tensor.elements() != elements
                || !(tensor.device().isCpu() || tensor.device().equals(stream.device()))) {
            throw refusal(stream, name, tensor, dtype + " of " + elements + " elements");
        }
    }

    static void floats(Stream stream, String name, Tensor tensor, long elements) {
        elements(stream, name, tensor, DType.FLOAT32, elements);
    }

    /** Requires a matrix on the stream's device, of a type and of this size. */
    static void elements(Stream stream, String name, Matrix matrix, DType dtype, long rows, long columns) {
        if (matrix.dtype() != dtype || !fits(stream, matrix, rows, columns)) {
            throw refusal(stream, name, matrix, dtype, rows, columns);
        }
    }

    static void floats(Stream stream, String name, Matrix matrix, long rows, long columns) {
        elements(stream, name, matrix, DType.FLOAT32, rows, columns);
    }

    /** The same of one of the native floating-point types. */
    static void nativeFloat(Stream stream, String name, Matrix matrix, long rows, long columns) {
        if (!matrix.dtype().isNativeFloat() || !fits(stream, matrix, rows, columns)) {
            throw refusal(stream, name, matrix, "FLOAT32, BFLOAT16 or FLOAT16", rows, columns);
        }
    }

    private static boolean fits(Stream stream, Matrix matrix, long rows, long columns) {
        return matrix.rows() == rows && matrix.columns() == columns
                && matrix.tensor().device().equals(stream.device());
    }

    static void rowStride(String name, Matrix matrix, long rowStride) {
        if (matrix.rowStride() != rowStride) {
            throw new IllegalArgumentException(name + ": found rows " + matrix.rowStride()
                    + " elements apart; expected " + rowStride);
        }
    }

    static void ints(Stream stream, String name, Tensor tensor, long elements) {
        elements(stream, name, tensor, DType.INT32, elements);
    }

    /** Requires a tensor of one of the native floating-point types. */
    static void nativeFloat(Stream stream, String name, Tensor tensor, long elements) {
        if (!tensor.dtype().isNativeFloat() || tensor.elements() != elements
                || !tensor.device().equals(stream.device())) {
            throw refusal(stream, name, tensor, "FLOAT32, BFLOAT16 or FLOAT16 of " + elements + " elements");
        }
    }

    /** Requires scratch of at least so many bytes. */
    static void scratch(Stream stream, Tensor scratch, long bytes) {
        if (scratch.bytes() < bytes || !scratch.device().equals(stream.device())) {
            throw refusal(stream, "scratch", scratch, "at least " + bytes + " bytes");
        }
    }

    static void positive(String name, int value) {
        if (value < 1) {
            throw new IllegalArgumentException(name + ": found " + value + "; expected 1 or more");
        }
    }

    private static IllegalArgumentException refusal(Stream stream, String name, Matrix matrix, Object types, long rows,
            long columns) {
        return new IllegalArgumentException(name + ": found " + matrix.dtype() + "[" + matrix.rows() + ", "
                + matrix.columns() + "] on " + matrix.tensor().device() + "; expected " + types + "[" + rows + ", "
                + columns + "] on " + stream.device());
    }

    private static IllegalArgumentException refusal(Stream stream, String name, Tensor tensor, String expected) {
        return new IllegalArgumentException(name + ": found " + tensor.dtype() + Arrays.toString(tensor.shape())
                + " on " + tensor.device() + "; expected " + expected + " on " + stream.device());
    }
}
