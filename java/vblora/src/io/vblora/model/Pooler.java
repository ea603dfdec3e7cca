package io.vblora.model;

import io.vblora.kernels.Arena;
import io.vblora.kernels.Matrix;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Activation;
import io.vblora.kernels.ops.PoolingMode;
import io.vblora.kernels.ops.Transformer;
import io.vblora.model.config.Pooling;
import java.util.List;

/** Makes one vector [hidden] of each sequence's output. */
final class Pooler implements ModelPart {
    private final PoolingMode mode;
    private final LinearGroup dense;

    /** What the backward pass reads of the forward pass; all null without a linear layer. */
    record Saved(Tensor first, LinearGroup.Output inner) {}

    /** @param dense the linear layer of {@link Pooling#POOLER}, else null */
    Pooler(Pooling pooling, LinearGroup dense) {
        this.mode = pooling == Pooling.MEAN ? PoolingMode.MEAN : PoolingMode.CLS;
        this.dense = dense;
    }

    @Override
    public List<Linear> linears() {
        return dense == null ? List.of() : dense.members();
    }

    @Override
    public List<Parameter> parameters() {
        return dense == null ? List.of() : dense.members().get(0).parameters();
    }

    /** features [size, hidden], written, of hidden [tokens, hidden]. */
    Saved forward(Pass pass, Tokens batch, Tensor hidden, Tensor features) {
        Arena arena = pass.arena();
        Tensor pooled = dense == null ? features : arena.floats(features.shape());
        Transformer.poolForward(pass.stream(), mode, batch.sequences(), hidden, pooled);
        if (dense == null) {
            return new Saved(null, null);
        }
        LinearGroup.Output inner = dense.product(pass, batch.sequenceRows(), pooled);
        dense.activate(pass, batch.sequenceRows(), inner, Activation.TANH, features);
        return new Saved(pooled, inner);
    }

    /**
     * The adapter's gradients, and unless it is null dhidden [tokens, hidden], overwritten. dfeatures [size, hidden] is
     * undefined afterwards.
     */
    void backward(Pass pass, Tokens batch, Saved saved, Tensor dfeatures, Tensor dhidden) {
        Tensor dpooled = dfeatures;
        if (dense != null) {
            Matrix gradient = Matrix.of(dfeatures);
            Transformer.biasActivationBackward(pass.stream(), Activation.TANH, saved.inner.of(0), gradient, gradient,
                    null);
            dpooled = dhidden == null ? null : pass.arena().floats(dfeatures.shape());
            dense.backward(pass, batch.sequenceRows(), saved.first, saved.inner.reduced(), dfeatures, dpooled,
                    false);
        }
        if (dhidden != null) {
            Transformer.poolBackward(pass.stream(), mode, batch.sequences(), dpooled, dhidden);
        }
    }
}
