package io.vblora.adapter;

import io.vblora.kernels.Tensor;

/**
 * One adapted linear layer: y = x Wᵀ + bias + scaling · (drop(x) Aᵀ) Bᵀ. Its matrices are views of the composition's
 * packed buffers and stay at the same place for the adapter's life; the composition rewrites their contents.
 */
public final class AdaptedModule {
    private final ModuleShape shape;
    private final int index;
    private final int r;
    private final long offset;
    private final float scaling;
    private final float dropout;
    private final Composition composition;
    private final Tensor a;
    private final Tensor bt;
    private Tensor gradient;
    private Tensor da;
    private Tensor dbt;

    AdaptedModule(ModuleShape shape, int index, int r, long offset, float scaling, float dropout,
            Composition composition) {
        this.shape = new ModuleShape(shape.path(), shape.inFeatures(), shape.outFeatures());
        this.index = index;
        this.r = r;
        this.offset = offset;
        this.scaling = scaling;
        this.dropout = dropout;
        this.composition = composition;
        this.a = viewA(composition.packed());
        this.bt = viewBt(composition.packed());
    }

    public String path() {
        return shape.path();
    }

    /**
     * Its path and dimensions. How the model stores its weight is what {@link Adapter#fanInFanOut} says.
     */
    public ModuleShape shape() {
        return shape;
    }

    /** Its place among the adapter's modules, which is also the key of its dropout. */
    public int index() {
        return index;
    }

    public long inFeatures() {
        return shape.inFeatures();
    }

    public long outFeatures() {
        return shape.outFeatures();
    }

    /** Rank of the update. */
    public int r() {
        return r;
    }

    /**
     * Factor of the update: 1 for VB-LoRA, lora_alpha / r for LoRA, lora_alpha / sqrt(r) with use_rslora, by the
     * lora_alpha and r of this module.
     */
    public float scaling() {
        return scaling;
    }

    /** Probability of dropout on the branch's input while training. */
    public float dropout() {
        return dropout;
    }

    /** A, float32 [r, in]. */
    public Tensor a() {
        return a;
    }

    /** B transposed, float32 [r, out]. */
    public Tensor bt() {
        return bt;
    }

    /**
     * Gradient of A, float32 [r, in], to be added to.
     *
     * @throws IllegalStateException unless training is enabled
     */
    public Tensor da() {
        viewGradient();
        return da;
    }

    /** Gradient of B transposed, float32 [r, out], to be added to; as {@link #da()}. */
    public Tensor dbt() {
        viewGradient();
        return dbt;
    }

    /** Enabling training again allocates another buffer, so that the views have to follow it. */
    private void viewGradient() {
        Tensor current = composition.packedGradient();
        if (gradient != current) {
            gradient = current;
            da = viewA(current);
            dbt = viewBt(current);
        }
    }

    private Tensor viewA(Tensor packed) {
        return packed.view(offset, r, shape.inFeatures());
    }

    private Tensor viewBt(Tensor packed) {
        return packed.view(offset + r * shape.inFeatures(), r, shape.outFeatures());
    }
}
