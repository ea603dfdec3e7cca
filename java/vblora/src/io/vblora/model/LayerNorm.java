package io.vblora.model;

import io.vblora.kernels.Matrix;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Transformer;
import java.util.List;

/** A layer normalisation; weight and bias [hidden], float32. */
public record LayerNorm(Parameter weight, Parameter bias, float eps) implements Norm<LayerNorm.Saved> {
    /** Mean and reciprocal standard deviation of each row, for the backward pass. */
    public record Saved(Tensor mean, Tensor rstd) {}

    @Override
    public List<Parameter> parameters() {
        return List.of(weight, bias);
    }

    /** y may be x. */
    @Override
    public Saved forward(Pass pass, Rows rows, Tensor x, Tensor y) {
        Saved saved = new Saved(pass.arena().floats(rows.count()), pass.arena().floats(rows.count()));
        for (Rows.Run run : pass.runs(rows, weight, bias)) {
            Transformer.layernormForward(pass.stream(), eps, run.of(x), pass.value(weight, run),
                    pass.value(bias, run), run.of(y), run.of(saved.mean), run.of(saved.rstd));
        }
        return saved;
    }

    @Override
    public Tensor inputGradient(Pass pass, Tensor dy, Tensor x, Saved saved) {
        backward(pass, x, saved, dy);
        return dy;
    }

    /**
     * Turns dx, the gradient of y, into that of x, in place, and adds the gradients of weight and bias to the
     * adapter's.
     */
    public void backward(Pass pass, Tensor x, Saved saved, Tensor dx) {
        if (pass.trains(weight)) {
            Transformer.normWeightBackward(pass.stream(), dx, x, saved.mean, saved.rstd, pass.gradient(weight));
        }
        if (pass.trains(bias)) {
            Transformer.addBiasBackward(pass.stream(), Matrix.of(dx), pass.gradient(bias));
        }
        Transformer.layernormBackward(pass.stream(), dx, x, pass.value(weight), saved.mean, saved.rstd, dx);
    }
}
