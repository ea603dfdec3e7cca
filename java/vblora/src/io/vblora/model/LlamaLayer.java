package io.vblora.model;

import io.vblora.kernels.Arena;
import io.vblora.kernels.Matrix;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Attention;
import io.vblora.kernels.ops.Sequences;
import io.vblora.kernels.ops.Transformer;
import io.vblora.model.config.LlamaConfig;
import java.util.List;
import java.util.stream.Stream;

/** One decoder layer: x + attention(norm(x)), then x + mlp(norm(x)). */
final class LlamaLayer implements ModelLayer<LlamaLayer.Saved> {
    private final LlamaConfig config;
    private final RotaryEmbedding rotary;
    private final Attention attention;
    private final RmsNorm inputNorm;
    private final RmsNorm postAttentionNorm;
    /** To queries, keys and values. */
    private final LinearGroup qkv;
    private final LinearGroup o;
    /**
     * Up comes first: both orders are right, but sums that are rounded in this one stay within PyTorch's own distance
     * from float64 over the golden training run, and in the other one exceed it by some percent.
     */
    private final LinearGroup upAndGate;
    private final LinearGroup down;
    private final List<Linear> linears;
    private final List<Parameter> parameters;

    /** What the backward pass reads of the forward pass; tensors of the arena. */
    record Saved(Tensor x, Tensor inputNormed, Tensor inputRstd, LinearGroup.Output qkv, Tensor attended, Tensor lse,
            Tensor reducedAttended, Tensor middle, Tensor middleNormed, Tensor middleRstd,
            LinearGroup.Output upAndGate, Tensor reducedActivated) {}

    LlamaLayer(LlamaConfig config, RotaryEmbedding rotary, RmsNorm inputNorm, RmsNorm postAttentionNorm,
            LinearGroup qkv, LinearGroup o, LinearGroup upAndGate, LinearGroup down) {
        this.config = config;
        this.rotary = rotary;
        int headDim = config.attention().headDim();
        this.attention = new Attention(config.attention().numAttentionHeads(), config.attention().numKeyValueHeads(),
                headDim, true, (float) (1 / Math.sqrt(headDim)));
        this.inputNorm = inputNorm;
        this.postAttentionNorm = postAttentionNorm;
        this.qkv = qkv;
        this.o = o;
        this.upAndGate = upAndGate;
        this.down = down;
        this.linears = List.of(qkv.members().get(0), qkv.members().get(1), qkv.members().get(2), o.members().get(0),
                upAndGate.members().get(1), upAndGate.members().get(0), down.members().get(0));
        this.parameters = Stream.concat(linears.stream(), Stream.of(inputNorm, postAttentionNorm))
                .flatMap(part -> part.parameters().stream()).toList();
    }

    @Override
    public List<Linear> linears() {
        return linears;
    }

    @Override
    public List<Parameter> parameters() {
        return parameters;
    }

    @Override
    public Saved forward(Pass pass, Tokens batch, Tensor x, Tensor out) {
        Arena arena = pass.arena();
        Rows rows = batch.rows();
        long tokens = batch.count();
        int heads = config.attention().numAttentionHeads();
        int kvHeads = config.attention().numKeyValueHeads();
        Tensor inputNormed = arena.floats(tokens, config.hiddenSize());
        Tensor inputRstd = inputNorm.forward(pass, rows, x, inputNormed);

        LinearGroup.Output projected = qkv.forward(pass, rows, inputNormed);
        rotary.apply(pass, heads, batch.positions(), false, projected.of(0));
        rotary.apply(pass, kvHeads, batch.positions(), false, projected.of(1));
        Tensor attended = arena.floats(tokens, o.inFeatures());
        Sequences sequences = batch.sequences();
        Tensor lse = arena.floats(heads, tokens);
        attention.forward(pass.stream(), arena, sequences, projected.of(0), projected.of(1), projected.of(2),
                Matrix.of(attended), lse);

        Tensor middle = arena.floats(tokens, config.hiddenSize());
        Tensor reducedAttended = o.takeReduced(pass, rows);
        o.forward(pass, rows, attended, x, reducedAttended, middle);

        Tensor middleNormed = arena.floats(tokens, config.hiddenSize());
        Tensor middleRstd = postAttentionNorm.forward(pass, rows, middle, middleNormed);
        LinearGroup.Output gated = upAndGate.forward(pass, rows, middleNormed);
        // The product is not kept, but computed again by the backward pass. What the down projection leaves is kept, so
        // it comes first.
        Tensor reducedActivated = down.takeReduced(pass, rows);
        long mark = arena.mark();
        Tensor activated = arena.floats(tokens, down.inFeatures());
        Transformer.siluMulForward(pass.stream(), gated.of(1), gated.of(0), Matrix.of(activated));
        down.forward(pass, rows, activated, middle, reducedActivated, out);
        arena.release(mark);
        return new Saved(x, inputNormed, inputRstd, projected, attended, lse, reducedAttended, middle, middleNormed,
                middleRstd, gated, reducedActivated);
    }

    @Override
    public void backward(Pass pass, Tokens batch, Saved saved, Tensor dx, boolean inputGradient) {
        long mark = pass.arena().mark();
        mlpBackward(pass, batch.rows(), saved, dx);
        pass.arena().release(mark);
        attentionBackward(pass, batch, saved, dx, inputGradient);
        pass.arena().release(mark);
    }

    private void mlpBackward(Pass pass, Rows rows, Saved saved, Tensor dx) {
        Arena arena = pass.arena();
        LinearGroup.Output gated = saved.upAndGate();
        Tensor dgated = upAndGate.take(arena, rows);
        List<Matrix> columns = upAndGate.columns(dgated);
        Tensor dactivated = arena.floats(rows.count(), down.inFeatures());
        Tensor activated = dgated.view(0, dactivated.shape()); // needed only until that is written
        if (down.readsInput(pass)) {
            Transformer.siluMulForward(pass.stream(), gated.of(1), gated.of(0), Matrix.of(activated));
        }
        down.backward(pass, rows, activated, saved.reducedActivated(), dx, dactivated, false);
        Transformer.siluMulBackward(pass.stream(), gated.of(1), gated.of(0), Matrix.of(dactivated),
                columns.get(1), columns.get(0));
        Tensor dnormed = arena.floats(rows.count(), config.hiddenSize());
        upAndGate.backward(pass, rows, saved.middleNormed(), gated.reduced(), dgated, dnormed, false);
        postAttentionNorm.backward(pass, dnormed, saved.middle(), saved.middleRstd(), dx);
    }

    private void attentionBackward(Pass pass, Tokens batch, Saved saved, Tensor dx, boolean inputGradient) {
        Arena arena = pass.arena();
        long tokens = batch.count();
        Tensor dattended = arena.floats(tokens, o.inFeatures());
        o.backward(pass, batch.rows(), saved.attended(), saved.reducedAttended(), dx, dattended, false);
        LinearGroup.Output projected = saved.qkv();
        Tensor dprojected = qkv.take(arena, batch.rows());
        List<Matrix> columns = qkv.columns(dprojected);
        attention.backward(pass.stream(), arena, batch.sequences(), projected.of(0), projected.of(1), projected.of(2),
                Matrix.of(saved.attended()), saved.lse(), Matrix.of(dattended), columns.get(0), columns.get(1),
                columns.get(2));
        rotary.apply(pass, config.attention().numAttentionHeads(), batch.positions(), true, columns.get(0));
        rotary.apply(pass, config.attention().numKeyValueHeads(), batch.positions(), true, columns.get(1));
        Tensor dnormed = inputGradient || pass.trains(inputNorm) ? arena.floats(tokens, config.hiddenSize()) : null;
        qkv.backward(pass, batch.rows(), saved.inputNormed(), projected.reduced(), dprojected, dnormed, false);
        if (dnormed != null) {
            inputNorm.backward(pass, dnormed, saved.x(), saved.inputRstd(), inputGradient ? dx : null);
        }
    }
}
