package io.vblora.model;

import io.vblora.kernels.Matrix;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Transformer;
import java.util.List;

/** A layer normalisation; weight and bias [hidden], float32. */
record LayerNorm(Parameter weight, Parameter bias, float eps) implements ModelPart {
    /** Mean and reciprocal standard deviation of each row, for the backward pass. */
    record Saved(Tensor mean, Tensor rstd) {}

    @Override
    public List<Parameter> parameters() {
        return List.of(weight, bias);
    }

    /** y [rows, hidden] = the normalised x, which it may be. */
    Saved forward(Pass pass, Tensor x, Tensor y) {
        long rows = x.elements() / weight.dimension(0);
        Saved saved = new Saved(pass.arena().floats(rows), pass.arena().floats(rows));
        Transformer.layernormForward(pass.stream(), eps, x, weight.value(), bias.value(), y, saved.mean, saved.rstd);
        return saved;
    }

    /**
     * Turns dx, the gradient of y, into that of x, in place, and adds the gradients of weight and bias to the
     * adapter's.
     */
    void backward(Pass pass, Tensor x, Saved saved, Tensor dx) {
        if (weight.isTrained()) {
            Transformer.normWeightBackward(pass.stream(), dx, x, saved.mean, saved.rstd, weight.gradient());
        }
        if (bias.isTrained()) {
            Transformer.addBiasBackward(pass.stream(), Matrix.of(dx), bias.gradient());
        }
        Transformer.layernormBackward(pass.stream(), dx, x, weight.value(), saved.mean, saved.rstd, dx);
    }
}
