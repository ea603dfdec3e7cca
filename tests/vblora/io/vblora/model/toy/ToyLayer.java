package io.vblora.model.toy;

import io.vblora.kernels.Arena;
import io.vblora.kernels.Tensor;
import io.vblora.model.Linear;
import io.vblora.model.LinearGroup;
import io.vblora.model.ModelLayer;
import io.vblora.model.Parameter;
import io.vblora.model.Pass;
import io.vblora.model.RmsNorm;
import io.vblora.model.Tokens;
import java.util.ArrayList;
import java.util.List;

/** x + mix(norm(x)). */
record ToyLayer(RmsNorm norm, LinearGroup mix) implements ModelLayer<ToyLayer.Saved> {
    /** What the backward pass reads. */
    record Saved(Tensor x, Tensor rstd, Tensor normed, Tensor reduced) {}

    @Override
    public List<Linear> linears() {
        return mix.members();
    }

    @Override
    public List<Parameter> parameters() {
        List<Parameter> parameters = new ArrayList<>(mix.members().get(0).parameters());
        parameters.addAll(norm.parameters());
        return parameters;
    }

    @Override
    public Saved forward(Pass pass, Tokens batch, Tensor x, Tensor out) {
        Arena arena = pass.arena();
        Tensor normed = arena.floats(x.shape());
        Tensor rstd = norm.forward(pass, batch.rows(), x, normed);
        Tensor reduced = mix.takeReduced(pass, batch.rows());
        mix.forward(pass, batch.rows(), normed, x, reduced, out);
        return new Saved(x, rstd, normed, reduced);
    }

    @Override
    public void backward(Pass pass, Tokens batch, Saved saved, Tensor dx, boolean inputGradient) {
        long mark = pass.arena().mark();
        Tensor dnormed = pass.arena().floats(dx.shape());
        mix.backward(pass, batch.rows(), saved.normed, saved.reduced, dx, dnormed, false);
        norm.backward(pass, dnormed, saved.x, saved.rstd, inputGradient ? dx : null);
        pass.arena().release(mark);
    }
}
