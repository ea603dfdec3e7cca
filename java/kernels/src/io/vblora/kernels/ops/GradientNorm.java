package io.vblora.kernels.ops;

import static io.vblora.kernels.global.vblora.vbl_clip;
import static io.vblora.kernels.global.vblora.vbl_sum_squares;
import static io.vblora.kernels.global.vblora.vbl_sum_squares_scratch_bytes;

import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;

/** The norm of all gradients, float32, and how they are clipped by it. */
public final class GradientNorm {
    private GradientNorm() {}

    /** Scratch bytes of {@link #sumSquares} over n elements. */
    public static long sumSquaresScratchBytes(Stream stream, long n) {
        return stream.scratchBytes(handle -> vbl_sum_squares_scratch_bytes(handle, n));
    }

    /** sum (float64, one element) += Σ x². */
    public static void sumSquares(Stream stream, Tensor x, Tensor sum, Tensor scratch) {
        Check.floats(stream, "x", x, x.elements());
        Check.elements(stream, "sum", sum, DType.FLOAT64, 1);
        Check.scratch(stream, scratch, sumSquaresScratchBytes(stream, x.elements()));
        stream.run(handle -> vbl_sum_squares(handle, x.elements(), x.pointer(), sum.pointer(), scratch.pointer(),
                scratch.bytes()));
    }

    /**
     * From sum (float64, one element), the sum of squares of all gradients, sets the step's gradient norm and clip
     * factor as PyTorch's {@code clip_grad_norm_} does; maxNorm 0 means no clipping.
     */
    public static void clip(Stream stream, Tensor sum, float maxNorm, StepState step) {
        Check.elements(stream, "sum", sum, DType.FLOAT64, 1);
        stream.run(handle -> vbl_clip(handle, sum.pointer(), maxNorm, step.handle(stream)));
    }
}
