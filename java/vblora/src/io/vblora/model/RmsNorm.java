package io.vblora.model;

import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Memory;
import io.vblora.kernels.ops.Transformer;
import java.util.List;

/** A root mean square normalisation; weight [hidden], float32. */
public record RmsNorm(Parameter weight, float eps) implements Norm<Tensor> {
    @Override
    public List<Parameter> parameters() {
        return List.of(weight);
    }

    /** Returns the reciprocal root of each row. */
    @Override
    public Tensor forward(Pass pass, Rows rows, Tensor x, Tensor y) {
        Tensor rstd = pass.arena().floats(rows.count());
        for (Rows.Run run : pass.runs(rows, weight)) {
            Transformer.rmsnormForward(pass.stream(), eps, run.of(x), pass.value(weight, run), run.of(y),
                    run.of(rstd));
        }
        return rstd;
    }

    @Override
    public Tensor inputGradient(Pass pass, Tensor dy, Tensor x, Tensor rstd) {
        Tensor dx = pass.arena().floats(dy.shape());
        Memory.zero(pass.stream(), dx);
        backward(pass, dy, x, rstd, dx);
        return dx;
    }

    /** dx [rows, hidden] += the gradient of x, unless dx is null, and the weight's gradient added to the adapter's. */
    public void backward(Pass pass, Tensor dy, Tensor x, Tensor rstd, Tensor dx) {
        if (pass.trains(weight)) {
            Transformer.normWeightBackward(pass.stream(), dy, x, null, rstd, pass.gradient(weight));
        }
        if (dx != null) {
            Transformer.rmsnormBackward(pass.stream(), dy, x, pass.value(weight), rstd, dx);
        }
    }
}
