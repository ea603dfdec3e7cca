package io.vblora.model;

import io.vblora.adapter.ModuleShape;
import java.util.List;

/**
 * A linear layer, y = x Wᵀ + bias, which a {@link LinearGroup} computes.
 *
 * @param weight [out, in] in any native type, or [in, out] if that is how {@link #fanInFanOut} says it is stored
 * @param bias [out] float32, or null
 */
public record Linear(String path, Parameter weight, Parameter bias) implements ModelPart {
    /** A layer of a head. */
    static Linear ofHead(String path, long in, long out) {
        return new Linear(path, Parameter.ofHead(path + ".weight", out, in), Parameter.ofHead(path + ".bias", out));
    }

    ModuleShape shape() {
        return new ModuleShape(path, inFeatures(), outFeatures(), fanInFanOut());
    }

    /** Whether the weight is [in, out], as in GPT-2's Conv1D; PEFT's name. */
    public boolean fanInFanOut() {
        return weight.fanInFanOut();
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
        return weight.dimension(fanInFanOut() ? 0 : 1);
    }

    public long outFeatures() {
        return weight.dimension(fanInFanOut() ? 1 : 0);
    }
}
