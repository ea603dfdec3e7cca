package io.vblora.kernels.ops;

import static io.vblora.kernels.global.vblora.vbl_lowrank_delta;
import static io.vblora.kernels.global.vblora.vbl_lowrank_merge;

import io.vblora.kernels.DType;
import io.vblora.kernels.NativeLibrary;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.bindings.vbl_lowrank_update;

/**
 * What the low-rank branch of one layer adds to its weights, scaling · B A. a [r, in] and bt = Bᵀ [r, out] may be of
 * any native type on any device. Each element is summed in float64 and rounded once. Immutable: threads may share it,
 * each with its own stream.
 */
public final class LowRankUpdate {
    private final long inFeatures;
    private final long outFeatures;
    private final int r;
    /** What native calls read, each thread's own. */
    private final ThreadLocal<vbl_lowrank_update> shape;

    /** @param fanInFanOut whether weights are [in, out], as in GPT-2's Conv1D; else they are [out, in] */
    public LowRankUpdate(long inFeatures, long outFeatures, int r, float scaling, boolean fanInFanOut) {
        NativeLibrary.load();
        this.inFeatures = inFeatures;
        this.outFeatures = outFeatures;
        this.r = r;
        this.shape = ThreadLocal.withInitial(() -> new vbl_lowrank_update().in_features(inFeatures)
                .out_features(outFeatures).r(r).scaling(scaling).fan_in_fan_out(fanInFanOut ? 1 : 0));
    }

    /** delta = scaling · B A, float32. */
    public void delta(Stream stream, Tensor a, Tensor bt, Tensor delta) {
        checkFactors(stream, a, bt);
        Check.floats(stream, "delta", delta, inFeatures * outFeatures);
        stream.run(handle -> vbl_lowrank_delta(handle, shape(a.dtype()), a.pointer(), bt.pointer(), delta.pointer()));
    }

    /** weight += scaling · B A, in the weight's own native type. */
    public void merge(Stream stream, Tensor a, Tensor bt, Tensor weight) {
        merge(stream, 1, a, bt, weight);
    }

    /**
     * weight -= scaling · B A: the weight from before {@link #merge}, but for two roundings. Where it has to be exact,
     * keep a copy.
     */
    public void unmerge(Stream stream, Tensor a, Tensor bt, Tensor weight) {
        merge(stream, -1, a, bt, weight);
    }

    private void merge(Stream stream, int sign, Tensor a, Tensor bt, Tensor weight) {
        checkFactors(stream, a, bt);
        Check.nativeFloat(stream, "weight", weight, inFeatures * outFeatures);
        stream.run(handle -> vbl_lowrank_merge(handle, shape(a.dtype()), sign, a.pointer(), bt.pointer(),
                weight.pointer(), weight.dtype().nativeCode()));
    }

    private void checkFactors(Stream stream, Tensor a, Tensor bt) {
        Check.nativeFloat(stream, "a", a, r * inFeatures);
        Check.elements(stream, "bt", bt, a.dtype(), r * outFeatures);
    }

    private vbl_lowrank_update shape(DType factorDtype) {
        return shape.get().factor_dtype(factorDtype.nativeCode());
    }
}
