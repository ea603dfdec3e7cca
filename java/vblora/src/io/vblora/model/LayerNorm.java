package io.vblora.model;

import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Transformer;

/** A frozen layer normalisation; weight and bias [hidden], float32. */
record LayerNorm(Tensor weight, Tensor bias, float eps) {
    /** Mean and reciprocal standard deviation of each row, for the backward pass. */
    record Saved(Tensor mean, Tensor rstd) {}

    /** y [rows, hidden] = the normalised x, which it may be. */
    Saved forward(Execution run, Tensor x, Tensor y) {
        long rows = x.elements() / weight.elements();
        Saved saved = new Saved(run.arena().floats(rows), run.arena().floats(rows));
        Transformer.layernormForward(run.stream(), eps, x, weight, bias, y, saved.mean, saved.rstd);
        return saved;
    }

    /** Turns dx, the gradient of y, into that of x, in place. */
    void backward(Execution run, Tensor x, Saved saved, Tensor dx) {
        Transformer.layernormBackward(run.stream(), dx, x, weight, saved.mean, saved.rstd, dx);
    }
}
