package io.vblora.model;

import io.vblora.kernels.Arena;
import io.vblora.kernels.Matrix;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Attention;
import io.vblora.kernels.ops.Memory;
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
    private final Linear o;
    private final LinearGroup gateAndUp;
    private final Linear down;
    private final List<Linear> linears;
    private final List<Parameter> parameters;

    /** What the backward pass reads of the forward pass; tensors of the arena. */
    record Saved(Tensor x, Tensor inputRstd, LinearGroup.Output qkv, Tensor attended, Tensor lse, Tensor op,
            Tensor middle, Tensor middleRstd, LinearGroup.Output gateAndUp, Tensor downp) {}

    LlamaLayer(LlamaConfig config, RotaryEmbedding rotary, RmsNorm inputNorm, RmsNorm postAttentionNorm,
            List<Linear> linears) {
        this.config = config;
        this.rotary = rotary;
        int headDim = config.attention().headDim();
        this.attention = new Attention(config.attention().numAttentionHeads(), config.attention().numKeyValueHeads(),
                headDim, true, (float) (1 / Math.sqrt(headDim)));
        this.inputNorm = inputNorm;
        this.postAttentionNorm = postAttentionNorm;
        this.qkv = new LinearGroup(linears.get(0), linears.get(1), linears.get(2));
        this.o = linears.get(3);
        this.gateAndUp = new LinearGroup(linears.get(4), linears.get(5));
        this.down = linears.get(6);
        this.linears = List.copyOf(linears);
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
        long tokens = batch.count();
        int heads = config.attention().numAttentionHeads();
        int kvHeads = config.attention().numKeyValueHeads();
        Tensor inputNormed = arena.floats(tokens, config.hiddenSize());
        Tensor inputRstd = inputNorm.forward(pass, x, inputNormed);

        LinearGroup.Output projected = qkv.forward(pass, tokens, inputNormed);
        rotary.apply(pass, heads, batch.positions(), false, projected.of(0));
        rotary.apply(pass, kvHeads, batch.positions(), false, projected.of(1));
        Tensor attended = arena.floats(tokens, o.inFeatures());
        Sequences sequences = batch.sequences();
        Tensor lse = arena.floats(heads, tokens);
        attention.forward(pass.stream(), arena, sequences, Matrix.of(projected.of(0)), Matrix.of(projected.of(1)),
                Matrix.of(projected.of(2)), Matrix.of(attended), lse);

        Tensor middle = arena.floats(tokens, config.hiddenSize());
        Memory.copy(pass.stream(), x, middle);
        Tensor op = o.takeP(arena, tokens);
        o.forward(pass, 0, tokens, attended, op, middle, true);

        Tensor middleNormed = arena.floats(tokens, config.hiddenSize());
        Tensor middleRstd = postAttentionNorm.forward(pass, middle, middleNormed);
        LinearGroup.Output gated = gateAndUp.forward(pass, tokens, middleNormed);
        // The product is not kept, but computed again by the backward pass; p of the down projection is, so it comes
        // first.
        Tensor downp = down.takeP(arena, tokens);
        long mark = arena.mark();
        Tensor activated = arena.floats(tokens, down.inFeatures());
        Transformer.siluMulForward(pass.stream(), Matrix.of(gated.of(0)), Matrix.of(gated.of(1)),
                Matrix.of(activated));
        Memory.copy(pass.stream(), middle, out);
        down.forward(pass, 0, tokens, activated, downp, out, true);
        arena.release(mark);
        return new Saved(x, inputRstd, projected, attended, lse, op, middle, middleRstd, gated, downp);
    }

    @Override
    public void backward(Pass pass, Tokens batch, Saved saved, Tensor dx, boolean inputGradient) {
        long mark = pass.arena().mark();
        mlpBackward(pass, batch.count(), saved, dx);
        pass.arena().release(mark);
        attentionBackward(pass, batch, saved, dx, inputGradient);
        pass.arena().release(mark);
    }

    private void mlpBackward(Pass pass, long tokens, Saved saved, Tensor dx) {
        Arena arena = pass.arena();
        LinearGroup.Output gated = saved.gateAndUp();
        List<Tensor> dgated = gateAndUp.take(arena, tokens);
        Tensor dactivated = dgated.get(0); // its own gradient takes its place
        Tensor activated = dgated.get(1); // needed only until that is written
        if (down.readsInput()) {
            Transformer.siluMulForward(pass.stream(), Matrix.of(gated.of(0)), Matrix.of(gated.of(1)),
                Matrix.of(activated));
        }
        down.backward(pass, 0, tokens, activated, dx, saved.downp(), dactivated, false);
        Transformer.siluMulBackward(pass.stream(), Matrix.of(gated.of(0)), Matrix.of(gated.of(1)),
                Matrix.of(dactivated), Matrix.of(dgated.get(0)), Matrix.of(dgated.get(1)));
        Tensor dnormed = arena.floats(tokens, config.hiddenSize());
        gateAndUp.backward(pass, tokens, gated, dgated, dnormed, false);
        postAttentionNorm.backward(pass, dnormed, saved.middle(), saved.middleRstd(), dx);
    }

    private void attentionBackward(Pass pass, Tokens batch, Saved saved, Tensor dx, boolean inputGradient) {
        Arena arena = pass.arena();
        long tokens = batch.count();
        Tensor dattended = arena.floats(tokens, o.inFeatures());
        o.backward(pass, 0, tokens, saved.attended(), dx, saved.op(), dattended, false);
        LinearGroup.Output projected = saved.qkv();
        List<Tensor> dprojected = qkv.take(arena, tokens);
        attention.backward(pass.stream(), arena, batch.sequences(), Matrix.of(projected.of(0)),
                Matrix.of(projected.of(1)), Matrix.of(projected.of(2)), Matrix.of(saved.attended()), saved.lse(),
                Matrix.of(dattended), Matrix.of(dprojected.get(0)), Matrix.of(dprojected.get(1)),
                Matrix.of(dprojected.get(2)));
        rotary.apply(pass, config.attention().numAttentionHeads(), batch.positions(), true, dprojected.get(0));
        rotary.apply(pass, config.attention().numKeyValueHeads(), batch.positions(), true, dprojected.get(1));
        Tensor dnormed = inputGradient || inputNorm.isTrained() ? arena.floats(tokens, config.hiddenSize()) : null;
        qkv.backward(pass, tokens, projected, dprojected, dnormed, false);
        if (dnormed != null) {
            inputNorm.backward(pass, dnormed, saved.x(), saved.inputRstd(), inputGradient ? dx : null);
        }
    }
}
