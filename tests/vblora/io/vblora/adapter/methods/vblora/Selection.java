package io.vblora.adapter.methods.vblora;

import io.vblora.adapter.Adapter;

/** What a VB-LoRA adapter has selected. */
public final class Selection {
    private Selection() {}

    /** All weights of a sub-vector. */
    public static float[] weights(Adapter adapter, long row) {
        VbLoraComposition composition = (VbLoraComposition) adapter.composition();
        int topk = ((VbLoraConfig) adapter.config()).topk();
        return composition.weights().view(row * topk, topk).toFloats();
    }
}
