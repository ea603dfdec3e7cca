package io.vblora.kernels.ops;

import static io.vblora.kernels.global.vblora.vbl_dropout_mask;
import static io.vblora.kernels.global.vblora.vbl_lowrank_backward;
import static io.vblora.kernels.global.vblora.vbl_lowrank_delta;
import static io.vblora.kernels.global.vblora.vbl_lowrank_forward;
import static io.vblora.kernels.global.vblora.vbl_lowrank_merge;
import static io.vblora.kernels.global.vblora.vbl_lowrank_scratch_bytes;

import io.vblora.kernels.DType;
import io.vblora.kernels.NativeLibrary;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.bindings.vbl_lowrank;
import io.vblora.kernels.bindings.vbl_step;

/**
 * The low-rank branch of one adapted linear layer: y += scaling · (drop(x) Aᵀ) Bᵀ; and what it adds to the weights.
 * Shapes: x [tokens, in], y [tokens, out], a [r, in], bt = Bᵀ [r, out], p and q [tokens, r]. x, y and their gradients
 * have one native type, a and bt another; on the CPU both must be float32. p, q and the gradients of a and bt are
 * float32. The step gives dropout its seed, step and micro-batch; it may be null where dropout is 0. Where a batch is
 * passed in pieces, firstToken is the place of the first token in it. Immutable: threads may share it, each with its
 * own stream.
 */
public final class LowRank {
    private final long inFeatures;
    private final long outFeatures;
    private final int r;
    /** What native calls read, each thread's own. */
    private final ThreadLocal<vbl_lowrank> shape;

    /**
     * @param module key of the module's dropout
     * @param dropout probability in [0, 1)
     */
    public LowRank(long inFeatures, long outFeatures, int r, int module, float dropout, float scaling) {
        NativeLibrary.load();
        this.inFeatures = inFeatures;
        this.outFeatures = outFeatures;
        this.r = r;
        this.shape = ThreadLocal.withInitial(() -> new vbl_lowrank().in_features(inFeatures).out_features(outFeatures)
                .r(r).module(module).dropout(dropout).scaling(scaling));
    }

    /** p = drop(x) Aᵀ, and y += scaling · p Bᵀ. */
    public void forward(Stream stream, StepState step, long firstToken, long tokens, Tensor x, Tensor a, Tensor bt,
            Tensor p, Tensor y) {
        Check.nativeFloat(stream, "x", x, tokens * inFeatures);
        checkFactors(stream, a, bt);
        Check.floats(stream, "p", p, tokens * r);
        Check.elements(stream, "y", y, x.dtype(), tokens * outFeatures);
        stream.run(handle -> vbl_lowrank_forward(handle, shape(firstToken, tokens, x.dtype(), a.dtype()),
                handle(stream, step), x.pointer(), a.pointer(), bt.pointer(), p.pointer(), y.pointer()));
    }

    /** Scratch bytes of {@link #backward} for x of a type and factors of another; 0 on the CPU. */
    public long backwardScratchBytes(Stream stream, long tokens, DType dtype, DType factorDtype) {
        return stream.scratchBytes(handle -> vbl_lowrank_scratch_bytes(handle, shape(0, tokens, dtype, factorDtype)));
    }

    /**
     * With q = scaling · dy B: da += qᵀ drop(x), dbt += scaling · pᵀ dy, and dx += mask ⊙ (q A) unless dx is null. p is
     * what {@link #forward} wrote.
     */
    public void backward(Stream stream, StepState step, long firstToken, long tokens, Tensor x, Tensor dy, Tensor a,
            Tensor bt, Tensor p, Tensor q, Tensor dx, Tensor da, Tensor dbt, Tensor scratch) {
        Check.nativeFloat(stream, "x", x, tokens * inFeatures);
        Check.elements(stream, "dy", dy, x.dtype(), tokens * outFeatures);
        checkFactors(stream, a, bt);
        Check.floats(stream, "p", p, tokens * r);
        Check.floats(stream, "q", q, tokens * r);
        Check.floats(stream, "da", da, r * inFeatures);
        Check.floats(stream, "dbt", dbt, r * outFeatures);
        if (dx != null) {
            Check.elements(stream, "dx", dx, x.dtype(), tokens * inFeatures);
        }
        Check.scratch(stream, scratch, backwardScratchBytes(stream, tokens, x.dtype(), a.dtype()));
        stream.run(handle -> vbl_lowrank_backward(handle, shape(firstToken, tokens, x.dtype(), a.dtype()),
                handle(stream, step), x.pointer(), dy.pointer(), a.pointer(), bt.pointer(), p.pointer(), q.pointer(),
                dx == null ? null : dx.pointer(), da.pointer(), dbt.pointer(), scratch.pointer(), scratch.bytes()));
    }

    /** The dropout mask, 0 or 1 / (1 - dropout): mask [tokens, in]. */
    public void dropoutMask(Stream stream, StepState step, long firstToken, long tokens, Tensor mask) {
        Check.floats(stream, "mask", mask, tokens * inFeatures);
        stream.run(handle -> vbl_dropout_mask(handle, shape(firstToken, tokens, DType.FLOAT32, DType.FLOAT32),
                handle(stream, step), mask.pointer()));
    }

    /**
     * delta = scaling · B A, float32 [out, in], or [in, out] with fanInFanOut; each element summed in float64 and
     * rounded once. a and bt may be of any native type on any device.
     */
    public void delta(Stream stream, boolean fanInFanOut, Tensor a, Tensor bt, Tensor delta) {
        checkFactors(stream, a, bt);
        Check.floats(stream, "delta", delta, inFeatures * outFeatures);
        stream.run(handle -> vbl_lowrank_delta(handle, shape(0, 0, DType.FLOAT32, a.dtype()), fanInFanOut ? 1 : 0,
                a.pointer(), bt.pointer(), delta.pointer()));
    }

    /** weight += scaling · B A, oriented and summed as {@link #delta}, in the weight's own native type. */
    public void merge(Stream stream, boolean fanInFanOut, Tensor a, Tensor bt, Tensor weight) {
        merge(stream, fanInFanOut, 1, a, bt, weight);
    }

    /**
     * weight -= scaling · B A: the weight from before {@link #merge}, but for two roundings. Where it has to be exact,
     * keep a copy.
     */
    public void unmerge(Stream stream, boolean fanInFanOut, Tensor a, Tensor bt, Tensor weight) {
        merge(stream, fanInFanOut, -1, a, bt, weight);
    }

    private void merge(Stream stream, boolean fanInFanOut, int sign, Tensor a, Tensor bt, Tensor weight) {
        checkFactors(stream, a, bt);
        Check.nativeFloat(stream, "weight", weight, inFeatures * outFeatures);
        stream.run(handle -> vbl_lowrank_merge(handle, shape(0, 0, DType.FLOAT32, a.dtype()), fanInFanOut ? 1 : 0, sign,
                a.pointer(), bt.pointer(), weight.pointer(), weight.dtype().nativeCode()));
    }

    private void checkFactors(Stream stream, Tensor a, Tensor bt) {
        Check.nativeFloat(stream, "a", a, r * inFeatures);
        Check.elements(stream, "bt", bt, a.dtype(), r * outFeatures);
    }

    private vbl_lowrank shape(long firstToken, long tokens, DType dtype, DType factorDtype) {
        return shape.get().first_token(firstToken).tokens(tokens).dtype(dtype.nativeCode())
                .factor_dtype(factorDtype.nativeCode());
    }

    private static vbl_step handle(Stream stream, StepState step) {
        return step == null ? null : step.handle(stream);
    }
}
