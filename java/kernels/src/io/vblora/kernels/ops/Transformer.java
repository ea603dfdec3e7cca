package io.vblora.kernels.ops;

import static io.vblora.kernels.global.vblora.vbl_add_bias;
import static io.vblora.kernels.global.vblora.vbl_add_bias_backward;
import static io.vblora.kernels.global.vblora.vbl_bias_activation_backward;
import static io.vblora.kernels.global.vblora.vbl_bias_activation_forward;
import static io.vblora.kernels.global.vblora.vbl_cross_entropy;
import static io.vblora.kernels.global.vblora.vbl_cross_entropy_scratch_bytes;
import static io.vblora.kernels.global.vblora.vbl_embedding_backward;
import static io.vblora.kernels.global.vblora.vbl_embedding_forward;
import static io.vblora.kernels.global.vblora.vbl_layernorm_backward;
import static io.vblora.kernels.global.vblora.vbl_layernorm_forward;
import static io.vblora.kernels.global.vblora.vbl_norm_weight_backward;
import static io.vblora.kernels.global.vblora.vbl_pool_backward;
import static io.vblora.kernels.global.vblora.vbl_pool_forward;
import static io.vblora.kernels.global.vblora.vbl_rmsnorm_backward;
import static io.vblora.kernels.global.vblora.vbl_rmsnorm_forward;
import static io.vblora.kernels.global.vblora.vbl_rope;
import static io.vblora.kernels.global.vblora.vbl_silu_mul_backward;
import static io.vblora.kernels.global.vblora.vbl_silu_mul_forward;
import static io.vblora.kernels.global.vblora.vbl_squared_error;
import static io.vblora.kernels.global.vblora.vbl_squared_error_scratch_bytes;

import io.vblora.kernels.Arena;
import io.vblora.kernels.DType;
import io.vblora.kernels.Matrix;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;

/**
 * The ops of decoders and encoders around their matrix products. The activations of an op and their gradients are of
 * one native floating-point type, on the CPU float32; all other tensors are float32 unless said otherwise.
 *
 * <p>Every method throws {@link IllegalArgumentException} where a tensor's type, size or device does not fit, and
 * {@link io.vblora.kernels.KernelException} where the op itself refuses a value.
 */
public final class Transformer {
    private Transformer() {}

    /**
     * out [tokens, hidden] = table[ids], or with {@code accumulate} out += table[ids]; table [vocab, hidden] in any
     * native type, ids [tokens] int32 in [0, vocab).
     */
    public static void embeddingForward(Stream stream, Tensor ids, Tensor table, boolean accumulate, Tensor out) {
        long tokens = ids.elements();
        long vocab = table.dimension(0);
        long hidden = table.dimension(1);
        Check.ints(stream, "ids", ids, tokens);
        Check.nativeFloat(stream, "table", table, vocab * hidden);
        Check.nativeFloat(stream, "out", out, tokens * hidden);
        stream.run(handle -> vbl_embedding_forward(handle, out.dtype().nativeCode(), tokens, hidden, vocab,
                ids.pointer(), table.pointer(), table.dtype().nativeCode(), accumulate ? 1 : 0, out.pointer()));
    }

    /** dtable [vocab, hidden] += dout [tokens, hidden] at rows ids [tokens] (int32). */
    public static void embeddingBackward(Stream stream, Tensor ids, Tensor dout, Tensor dtable) {
        long tokens = ids.elements();
        long vocab = dtable.dimension(0);
        long hidden = dtable.dimension(1);
        Check.ints(stream, "ids", ids, tokens);
        Check.nativeFloat(stream, "dout", dout, tokens * hidden);
        Check.floats(stream, "dtable", dtable, vocab * hidden);
        stream.run(handle -> vbl_embedding_backward(handle, dout.dtype().nativeCode(), tokens, hidden, vocab,
                ids.pointer(), dout.pointer(), dtable.pointer()));
    }

    /**
     * y = x · rstd · weight, rstd = 1 / sqrt(mean(x²) + eps) per row; x, y [rows, hidden], weight [hidden], rstd
     * [rows].
     */
    public static void rmsnormForward(Stream stream, float eps, Tensor x, Tensor weight, Tensor y, Tensor rstd) {
        long hidden = weight.elements();
        long rows = rstd.elements();
        Check.nativeFloat(stream, "x", x, rows * hidden);
        Check.floats(stream, "weight", weight, hidden);
        Check.elements(stream, "y", y, x.dtype(), rows * hidden);
        Check.floats(stream, "rstd", rstd, rows);
        stream.run(handle -> vbl_rmsnorm_forward(handle, x.dtype().nativeCode(), rows, hidden, eps, x.pointer(),
                weight.pointer(), y.pointer(), rstd.pointer()));
    }

    /** dx [rows, hidden] += the gradient of x. */
    public static void rmsnormBackward(Stream stream, Tensor dy, Tensor x, Tensor weight, Tensor rstd, Tensor dx) {
        long hidden = weight.elements();
        long rows = rstd.elements();
        Check.nativeFloat(stream, "dy", dy, rows * hidden);
        Check.elements(stream, "x", x, dy.dtype(), rows * hidden);
        Check.floats(stream, "weight", weight, hidden);
        Check.floats(stream, "rstd", rstd, rows);
        Check.elements(stream, "dx", dx, dy.dtype(), rows * hidden);
        stream.run(handle -> vbl_rmsnorm_backward(handle, dy.dtype().nativeCode(), rows, hidden, dy.pointer(),
                x.pointer(), weight.pointer(), rstd.pointer(), dx.pointer()));
    }

    /**
     * y = (x - mean) · rstd · weight + bias, rstd = 1 / sqrt(mean((x - mean)²) + eps) per row; x, y [rows, hidden],
     * weight, bias [hidden], mean, rstd [rows] (both written). y may be x.
     */
    public static void layernormForward(Stream stream, float eps, Tensor x, Tensor weight, Tensor bias, Tensor y,
            Tensor mean, Tensor rstd) {
        long hidden = weight.elements();
        long rows = rstd.elements();
        Check.nativeFloat(stream, "x", x, rows * hidden);
        Check.floats(stream, "weight", weight, hidden);
        Check.floats(stream, "bias", bias, hidden);
        Check.elements(stream, "y", y, x.dtype(), rows * hidden);
        Check.floats(stream, "mean", mean, rows);
        Check.floats(stream, "rstd", rstd, rows);
        stream.run(handle -> vbl_layernorm_forward(handle, x.dtype().nativeCode(), rows, hidden, eps, x.pointer(),
                weight.pointer(), bias.pointer(), y.pointer(), mean.pointer(), rstd.pointer()));
    }

    /** dx [rows, hidden] = the gradient of x, from the forward pass's x, mean and rstd; dx may be dy. */
    public static void layernormBackward(Stream stream, Tensor dy, Tensor x, Tensor weight, Tensor mean, Tensor rstd,
            Tensor dx) {
        long hidden = weight.elements();
        long rows = rstd.elements();
        Check.nativeFloat(stream, "dy", dy, rows * hidden);
        Check.elements(stream, "x", x, dy.dtype(), rows * hidden);
        Check.floats(stream, "weight", weight, hidden);
        Check.floats(stream, "mean", mean, rows);
        Check.floats(stream, "rstd", rstd, rows);
        Check.elements(stream, "dx", dx, dy.dtype(), rows * hidden);
        stream.run(handle -> vbl_layernorm_backward(handle, dy.dtype().nativeCode(), rows, hidden, dy.pointer(),
                x.pointer(), weight.pointer(), mean.pointer(), rstd.pointer(), dx.pointer()));
    }

    /**
     * dweight [hidden] += the gradient of a norm's weight, from dy and the forward pass's x [rows, hidden], mean and
     * rstd [rows]; mean is null for RMSNorm, which has none.
     */
    public static void normWeightBackward(Stream stream, Tensor dy, Tensor x, Tensor mean, Tensor rstd,
            Tensor dweight) {
        long hidden = dweight.elements();
        long rows = rstd.elements();
        Check.nativeFloat(stream, "dy", dy, rows * hidden);
        Check.elements(stream, "x", x, dy.dtype(), rows * hidden);
        if (mean != null) {
            Check.floats(stream, "mean", mean, rows);
        }
        Check.floats(stream, "rstd", rstd, rows);
        Check.floats(stream, "dweight", dweight, hidden);
        stream.run(handle -> vbl_norm_weight_backward(handle, dy.dtype().nativeCode(), rows, hidden, dy.pointer(),
                x.pointer(), mean == null ? null : mean.pointer(), rstd.pointer(), dweight.pointer()));
    }

    /**
     * Rotary position embedding in place (half-split), or with {@code inverse} its backward pass. x [tokens, heads ·
     * headDim], positions [tokens] int32, cos and sin [positions, headDim / 2].
     */
    public static void rope(Stream stream, int heads, int headDim, Tensor positions, Tensor cos, Tensor sin,
            boolean inverse, Matrix x) {
        long tokens = positions.elements();
        Check.ints(stream, "positions", positions, tokens);
        Check.floats(stream, "sin", sin, cos.elements());
        Check.nativeFloat(stream, "x", x, tokens, (long) heads * headDim);
        stream.run(handle -> vbl_rope(handle, x.dtype().nativeCode(), tokens, heads, headDim, positions.pointer(),
                cos.pointer(), sin.pointer(), inverse ? 1 : 0, x.pointer(), x.rowStride()));
    }

    /** out = silu(gate) · up, all [rows, columns]; gate and up with the same row stride. */
    public static void siluMulForward(Stream stream, Matrix gate, Matrix up, Matrix out) {
        long rows = gate.rows();
        long columns = gate.columns();
        Check.nativeFloat(stream, "gate", gate, rows, columns);
        Check.elements(stream, "up", up, gate.dtype(), rows, columns);
        Check.rowStride("up", up, gate.rowStride());
        Check.elements(stream, "out", out, gate.dtype(), rows, columns);
        stream.run(handle -> vbl_silu_mul_forward(handle, gate.dtype().nativeCode(), rows, columns, gate.pointer(),
                up.pointer(), gate.rowStride(), out.pointer(), out.rowStride()));
    }

    /** dgate and dup, with the same row stride, from dout; each may be dout itself. */
    public static void siluMulBackward(Stream stream, Matrix gate, Matrix up, Matrix dout, Matrix dgate, Matrix dup) {
        long rows = gate.rows();
        long columns = gate.columns();
        Check.nativeFloat(stream, "gate", gate, rows, columns);
        Check.elements(stream, "up", up, gate.dtype(), rows, columns);
        Check.rowStride("up", up, gate.rowStride());
        Check.elements(stream, "dout", dout, gate.dtype(), rows, columns);
        Check.elements(stream, "dgate", dgate, gate.dtype(), rows, columns);
        Check.elements(stream, "dup", dup, gate.dtype(), rows, columns);
        Check.rowStride("dup", dup, dgate.rowStride());
        stream.run(handle -> vbl_silu_mul_backward(handle, gate.dtype().nativeCode(), rows, columns, gate.pointer(),
                up.pointer(), gate.rowStride(), dout.pointer(), dout.rowStride(), dgate.pointer(), dup.pointer(),
                dgate.rowStride()));
    }

    /**
     * inner [rows, columns] += bias [columns], unless that is null, and activated = activation(inner), in one pass;
     * activated may be inner.
     */
    public static void biasActivationForward(Stream stream, Activation activation, Tensor bias, Matrix inner,
            Matrix activated) {
        long rows = inner.rows();
        long columns = inner.columns();
        Check.nativeFloat(stream, "inner", inner, rows, columns);
        if (bias != null) {
            Check.floats(stream, "bias", bias, columns);
        }
        Check.elements(stream, "activated", activated, inner.dtype(), rows, columns);
        stream.run(handle -> vbl_bias_activation_forward(handle, inner.dtype().nativeCode(), activation.nativeCode(),
                rows, columns, bias == null ? null : bias.pointer(), inner.pointer(), inner.rowStride(),
                activated.pointer(), activated.rowStride()));
    }

    /**
     * dinner = dactivated · activation'(inner) with the inner that the forward pass left; dinner may be dactivated, or
     * inner. dbias [columns], unless null, += the sums of dinner's columns.
     */
    public static void biasActivationBackward(Stream stream, Activation activation, Matrix inner, Matrix dactivated,
            Matrix dinner, Tensor dbias) {
        long rows = inner.rows();
        long columns = inner.columns();
        Check.nativeFloat(stream, "inner", inner, rows, columns);
        Check.elements(stream, "dactivated", dactivated, inner.dtype(), rows, columns);
        Check.elements(stream, "dinner", dinner, inner.dtype(), rows, columns);
        if (dbias != null) {
            Check.floats(stream, "dbias", dbias, columns);
        }
        stream.run(handle -> vbl_bias_activation_backward(handle, inner.dtype().nativeCode(), activation.nativeCode(),
                rows, columns, inner.pointer(), inner.rowStride(), dactivated.pointer(), dactivated.rowStride(),
                dinner.pointer(), dinner.rowStride(), dbias == null ? null : dbias.pointer()));
    }

    /** y [rows, columns] += bias [columns]. */
    public static void addBias(Stream stream, Tensor bias, Matrix y) {
        Check.floats(stream, "bias", bias, y.columns());
        Check.nativeFloat(stream, "y", y, y.rows(), y.columns());
        stream.run(handle -> vbl_add_bias(handle, y.dtype().nativeCode(), y.rows(), y.columns(), bias.pointer(),
                y.pointer(), y.rowStride()));
    }

    /** dbias [columns] += the sums of dy's [rows, columns] columns. */
    public static void addBiasBackward(Stream stream, Matrix dy, Tensor dbias) {
        Check.nativeFloat(stream, "dy", dy, dy.rows(), dy.columns());
        Check.floats(stream, "dbias", dbias, dy.columns());
        stream.run(handle -> vbl_add_bias_backward(handle, dy.dtype().nativeCode(), dy.rows(), dy.columns(),
                dy.pointer(), dy.rowStride(), dbias.pointer()));
    }

    /** out [size, hidden] from the tokens x [tokens, hidden] of packed sequences. */
    public static void poolForward(Stream stream, PoolingMode mode, Sequences sequences, Tensor x, Tensor out) {
        long hidden = checkPooling(stream, sequences, out);
        Check.nativeFloat(stream, "out", out, sequences.size() * hidden);
        Check.elements(stream, "x", x, out.dtype(), sequences.tokens() * hidden);
        stream.run(handle -> vbl_pool_forward(handle, out.dtype().nativeCode(), mode.nativeCode(), sequences.size(),
                sequences.tokens(), hidden, sequences.places().pointer(), x.pointer(), out.pointer()));
    }

    /** dx [tokens, hidden] = the gradient of {@link #poolForward}'s x, 0 in what was not pooled. */
    public static void poolBackward(Stream stream, PoolingMode mode, Sequences sequences, Tensor dout, Tensor dx) {
        long hidden = checkPooling(stream, sequences, dout);
        Check.nativeFloat(stream, "dout", dout, sequences.size() * hidden);
        Check.elements(stream, "dx", dx, dout.dtype(), sequences.tokens() * hidden);
        stream.run(handle -> vbl_pool_backward(handle, dout.dtype().nativeCode(), mode.nativeCode(), sequences.size(),
                sequences.tokens(), hidden, sequences.places().pointer(), dout.pointer(), dx.pointer()));
    }

    /** Gives the columns of the pooled rows. */
    private static long checkPooling(Stream stream, Sequences sequences, Tensor pooled) {
        if (!sequences.packed()) {
            throw new IllegalArgumentException("sequences: found padded ones; expected packed ones");
        }
        sequences.check(stream);
        return pooled.elements() / sequences.size();
    }

    /**
     * Softmax cross-entropy of logits [rows, vocab] against labels [rows] (int32, -100 does not count). lossSum
     * (float64, one element) += the sum over the rows that count; dlogits, unless null, = (softmax - onehot) · scale,
     * and may be logits itself; scale is one float.
     */
    public static void crossEntropy(Stream stream, Arena arena, Tensor logits, Tensor labels, Tensor scale,
            Tensor lossSum, Tensor dlogits) {
        long rows = labels.elements();
        long vocab = logits.elements() / rows;
        Check.ints(stream, "labels", labels, rows);
        Check.nativeFloat(stream, "logits", logits, rows * vocab);
        Check.elements(stream, "lossSum", lossSum, DType.FLOAT64, 1);
        if (dlogits != null) {
            Check.elements(stream, "dlogits", dlogits, logits.dtype(), rows * vocab);
            Check.floats(stream, "scale", scale, 1);
        }
        long mark = arena.mark();
        Tensor scratch = arena.take(DType.UINT8,
                stream.scratchBytes(handle -> vbl_cross_entropy_scratch_bytes(handle, rows)));
        stream.run(handle -> vbl_cross_entropy(handle, logits.dtype().nativeCode(), rows, vocab, logits.pointer(),
                labels.pointer(), scale == null ? null : scale.pointer(), lossSum.pointer(),
                dlogits == null ? null : dlogits.pointer(), scratch.pointer(), scratch.bytes()));
        arena.release(mark);
    }

    /**
     * The squared error of predictions against targets, of as many elements. lossSum (float64, one element) += the sum
     * of (prediction - target)²; dpredictions, unless null, = 2 (prediction - target) · scale, and may be predictions
     * itself; scale is one float.
     */
    public static void squaredError(Stream stream, Arena arena, Tensor predictions, Tensor targets, Tensor scale,
            Tensor lossSum, Tensor dpredictions) {
        long n = predictions.elements();
        Check.nativeFloat(stream, "predictions", predictions, n);
        Check.floats(stream, "targets", targets, n);
        Check.elements(stream, "lossSum", lossSum, DType.FLOAT64, 1);
        if (dpredictions != null) {
            Check.elements(stream, "dpredictions", dpredictions, predictions.dtype(), n);
            Check.floats(stream, "scale", scale, 1);
        }
        long mark = arena.mark();
        Tensor scratch = arena.take(DType.UINT8,
                stream.scratchBytes(handle -> vbl_squared_error_scratch_bytes(handle, n)));
        stream.run(handle -> vbl_squared_error(handle, predictions.dtype().nativeCode(), n, predictions.pointer(),
                targets.pointer(), scale == null ? null : scale.pointer(), lossSum.pointer(),
                dpredictions == null ? null : dpredictions.pointer(), scratch.pointer(), scratch.bytes()));
        arena.release(mark);
    }
}
