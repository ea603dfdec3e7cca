package io.vblora.model;

import io.vblora.adapter.ModuleShape;
import java.util.List;

/**
 * A linear layer, y = x Wᵀ + bias, which a {@link LinearGroup} computes.
 *
 * @param weight [out, in] in any native type
 * @param bias [out] float32, or null
 * @param fanInFanOut whether the weight is [in, out] instead, as in GPT-2's Conv1D; PEFT's name
 */
public record Linear(String path, Parameter weight, Parameter bias, boolean fanInFanOut) implements ModelPart {
    /** A layer whose weight is [out, in]. */
    public Linear(String path, Parameter weight, Parameter bias) {
        this(path, weight, bias, false);
    }

    /** A layer of a head. */
    static Linear ofHead(String path, long in, long out) {
        return new Linear(path, Parameter.ofHead(path + ".weight", out, in), Parameter.ofHead(path + ".bias", out));
    }

    ModuleShape shape() {
        return new ModuleShape(path, inFeatures(), outFeatures());
    }

    @Override
    public List<Parameter> parameters() {
        return bias == null ? List.of(weight) : List.of(weight, bias);
    }

    @Override
    public List<Linear> linears() {
        return List.of(this);
    }

    public long inFeatures() {
        return weight.dimension(fanInFanOut ? 0 : 1);
    }

    public long outFeatures() {
        return weight.dimension(fanInFanOut ? 1 : 0);
    }
}
