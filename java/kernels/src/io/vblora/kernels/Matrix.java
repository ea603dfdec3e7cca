package io.vblora.kernels;

import org.bytedeco.javacpp.Pointer;

/**
 * A matrix in a tensor's memory, whose rows may lie apart: all of a tensor, or some columns of a wider matrix, such as
 * the queries in a product that also has keys and values. Like a view it owns nothing, and is valid as long as the
 * tensor. Immutable.
 *
 * @param tensor begins with the first element
 * @param rowStride elements from the beginning of a row to that of the next one, at least {@code columns}
 */
public record Matrix(Tensor tensor, long rows, long columns, long rowStride) {
    /** @throws IllegalArgumentException if the tensor does not reach to the end of the last row */
    public Matrix {
        if (rows < 0 || columns < 0 || rowStride < columns || span(rows, columns, rowStride) > tensor.elements()) {
            throw new IllegalArgumentException("A matrix of " + rows + " rows of " + columns + ", " + rowStride
                    + " apart, does not lie in " + tensor);
        }
    }

    /** All of a tensor, without padding between rows. */
    public Matrix(Tensor tensor, long rows, long columns) {
        this(tensor, rows, columns, columns);
        if (rows * columns != tensor.elements()) {
            throw new IllegalArgumentException("A matrix of " + rows + " rows of " + columns + " is not all of "
                    + tensor);
        }
    }

    /** A tensor [rows, columns]. */
    public static Matrix of(Tensor tensor) {
        if (tensor.rank() != 2) {
            throw new IllegalArgumentException("A matrix has two dimensions; found " + tensor);
        }
        return new Matrix(tensor, tensor.dimension(0), tensor.dimension(1));
    }

    /** Columns first .. first + count - 1 of all rows. */
    public Matrix columns(long first, long count) {
        if (first < 0 || count < 0 || first > columns - count) {
            throw new IllegalArgumentException(count + " columns from " + first + " do not lie in " + columns);
        }
        long elements = span(rows, count, rowStride);
        return new Matrix(tensor.view(elements == 0 ? 0 : first, elements), rows, count, rowStride);
    }

    /** The type of the elements. */
    public DType dtype() {
        return tensor.dtype();
    }

    /** Where the first row begins; see {@link Tensor#pointer}. */
    public Pointer pointer() {
        return tensor.pointer();
    }

    /** Elements from the first one to the last. */
    private static long span(long rows, long columns, long rowStride) {
        return rows == 0 || columns == 0 ? 0 : Math.addExact(Math.multiplyExact(rows - 1, rowStride), columns);
    }
}
