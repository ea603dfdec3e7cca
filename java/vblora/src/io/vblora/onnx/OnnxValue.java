package io.vblora.onnx;

import java.util.Arrays;

/**
 * A value of a graph: its shape and, if they are known, its numbers.
 *
 * @param kind what the numbers are
 * @param shape sizes
 * @param data the numbers in row-major order; null if they are not known
 * @param hidden whether it is computed from rows of an embedding table, so that its numbers are left unknown
 */
public record OnnxValue(Kind kind, long[] shape, double[] data, boolean hidden) {
    /** What the numbers are. */
    public enum Kind { FLOAT, INTEGER, BOOL }

    /** The most numbers that are computed for one value. */
    public static final long MAX_NUMBERS = 1 << 20;

    /** A value with known numbers. */
    public static OnnxValue of(Kind kind, double[] data, long... shape) {
        return new OnnxValue(kind, shape, data, false);
    }

    public boolean isKnown() {
        return data != null;
    }

    public int rank() {
        return shape.length;
    }

    /** Size of the last dimension, 1 for a scalar. */
    public long lastSize() {
        return shape.length == 0 ? 1 : shape[shape.length - 1];
    }

    public long elements() {
        return count(shape);
    }

    /** Whether it is one known number. */
    public boolean isNumber() {
        return data != null && data.length == 1;
    }

    static long count(long[] shape) {
        return Arrays.stream(shape).reduce(1, Math::multiplyExact);
    }

    /** The same numbers in another shape with as many elements. */
    OnnxValue reshaped(long[] newShape) {
        return new OnnxValue(kind, newShape, data, hidden);
    }

    @Override
    public String toString() {
        return kind + Arrays.toString(shape);
    }
}
