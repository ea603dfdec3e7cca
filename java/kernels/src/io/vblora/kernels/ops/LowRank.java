package io.vblora.kernels.ops;

import static io.vblora.kernels.global.vblora.vbl_dropout_mask;
import static io.vblora.kernels.global.vblora.vbl_lowrank_backward;
import static io.vblora.kernels.global.vblora.vbl_lowrank_forward;

import io.vblora.kernels.NativeLibrary;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.bindings.vbl_lowrank;
import io.vblora.kernels.bindings.vbl_step;

/**
 * The low-rank branch of one adapted linear layer: y += scaling · (drop(x) Aᵀ) Bᵀ. Shapes: x [tokens, in], y [tokens,
 * out], a [r, in], bt = Bᵀ [r, out], p and q [tokens, r]; all float32. The step gives dropout its seed, step and
 * micro-batch; it may be null where dropout is 0. Where a batch is passed in pieces, firstToken is the place of the
 * first token in it.
 */
public final class LowRank {
    private final long inFeatures;
    private final long outFeatures;
    private final int r;
    private final vbl_lowrank shape;

    /**
     * @param module key of the module's dropout
     * @param dropout probability in [0, 1)
     */
    public LowRank(long inFeatures, long outFeatures, int r, int module, float dropout, float scaling) {
        NativeLibrary.load();
        this.inFeatures = inFeatures;
        this.outFeatures = outFeatures;
        this.r = r;
        this.shape = new vbl_lowrank();
        shape.in_features(inFeatures).out_features(outFeatures).r(r).module(module).dropout(dropout).scaling(scaling);
    }

    /** p = drop(x) Aᵀ, and y += scaling · p Bᵀ. */
    public void forward(Stream stream, StepState step, long firstToken, long tokens, Tensor x, Tensor a, Tensor bt,
            Tensor p, Tensor y) {
        Check.floats(stream, "x", x, tokens * inFeatures);
        Check.floats(stream, "a", a, r * inFeatures);
        Check.floats(stream, "bt", bt, r * outFeatures);
        Check.floats(stream, "p", p, tokens * r);
        Check.floats(stream, "y", y, tokens * outFeatures);
        stream.run(handle -> vbl_lowrank_forward(handle, shape.first_token(firstToken).tokens(tokens), handle(step),
                x.pointer(), a.pointer(), bt.pointer(), p.pointer(), y.pointer()));
    }

    /**
     * With q = scaling · dy B: da += qᵀ drop(x), dbt += scaling · pᵀ dy, and dx += mask ⊙ (q A) unless dx is null. p is
     * what {@link #forward} wrote.
     */
    public void backward(Stream stream, StepState step, long firstToken, long tokens, Tensor x, Tensor dy, Tensor a,
            Tensor bt, Tensor p, Tensor q, Tensor dx, Tensor da, Tensor dbt) {
        Check.floats(stream, "x", x, tokens * inFeatures);
        Check.floats(stream, "dy", dy, tokens * outFeatures);
        Check.floats(stream, "a", a, r * inFeatures);
        Check.floats(stream, "bt", bt, r * outFeatures);
        Check.floats(stream, "p", p, tokens * r);
        Check.floats(stream, "q", q, tokens * r);
        Check.floats(stream, "da", da, r * inFeatures);
        Check.floats(stream, "dbt", dbt, r * outFeatures);
        if (dx != null) {
            Check.floats(stream, "dx", dx, tokens * inFeatures);
        }
        stream.run(handle -> vbl_lowrank_backward(handle, shape.first_token(firstToken).tokens(tokens), handle(step),
                x.pointer(), dy.pointer(), a.pointer(), bt.pointer(), p.pointer(), q.pointer(),
                dx == null ? null : dx.pointer(), da.pointer(), dbt.pointer()));
    }

    /** The dropout mask, 0 or 1 / (1 - dropout): mask [tokens, in]. */
    public void dropoutMask(Stream stream, StepState step, long firstToken, long tokens, Tensor mask) {
        Check.floats(stream, "mask", mask, tokens * inFeatures);
        stream.run(handle -> vbl_dropout_mask(handle, shape.first_token(firstToken).tokens(tokens), handle(step),
                mask.pointer()));
    }

    private static vbl_step handle(StepState step) {
        return step == null ? null : step.handle();
    }
}
