package io.vblora.model;

import io.vblora.kernels.Arena;
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
    private final Linear q;
    private final Linear k;
    private final Linear v;
    private final Linear o;
    private final Linear gate;
    private final Linear up;
    private final Linear down;
    private final List<Linear> linears;
    private final List<Parameter> parameters;

    /** What the backward pass reads of the forward pass; tensors of the arena. */
    record Saved(Tensor x, Tensor inputRstd, Tensor inputNormed, Tensor q, Tensor k, Tensor v, Tensor attended,
            Tensor lse, Tensor middle, Tensor middleRstd, Tensor middleNormed, Tensor gate, Tensor up, Tensor qp,
            Tensor kp, Tensor vp, Tensor op, Tensor gatep, Tensor upp, Tensor downp) {}

    LlamaLayer(LlamaConfig config, RotaryEmbedding rotary, RmsNorm inputNorm, RmsNorm postAttentionNorm,
            List<Linear> linears) {
        this.config = config;
        this.rotary = rotary;
        int headDim = config.attention().headDim();
        this.attention = new Attention(config.attention().numAttentionHeads(), config.attention().numKeyValueHeads(),
                headDim, true, (float) (1 / Math.sqrt(headDim)));
        this.inputNorm = inputNorm;
        this.postAttentionNorm = postAttentionNorm;
        this.q = linears.get(0);
        this.k = linears.get(1);
        this.v = linears.get(2);
        this.o = linears.get(3);
        this.gate = linears.get(4);
        this.up = linears.get(5);
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

        Tensor query = arena.floats(tokens, q.outFeatures());
        Tensor key = arena.floats(tokens, k.outFeatures());
        Tensor value = arena.floats(tokens, v.outFeatures());
        Tensor qp = q.takeP(arena, tokens);
        q.forward(pass, 0, tokens, inputNormed, qp, query, false);
        Tensor kp = k.takeP(arena, tokens);
        k.forward(pass, 0, tokens, inputNormed, kp, key, false);
        Tensor vp = v.takeP(arena, tokens);
        v.forward(pass, 0, tokens, inputNormed, vp, value, false);
        rotary.apply(pass, heads, batch.positions(), false, query);
        rotary.apply(pass, kvHeads, batch.positions(), false, key);
        Tensor attended = arena.floats(tokens, o.inFeatures());
        Sequences sequences = batch.sequences();
        Tensor lse = arena.floats(heads, tokens);
        attention.forward(pass.stream(), arena, sequences, query, key, value, attended, lse);

        Tensor middle = arena.floats(tokens, config.hiddenSize());
        Memory.copy(pass.stream(), x, middle);
        Tensor op = o.takeP(arena, tokens);
        o.forward(pass, 0, tokens, attended, op, middle, true);

        Tensor middleNormed = arena.floats(tokens, config.hiddenSize());
        Tensor middleRstd = postAttentionNorm.forward(pass, middle, middleNormed);
        Tensor gated = arena.floats(tokens, gate.outFeatures());
        Tensor upped = arena.floats(tokens, up.outFeatures());
        Tensor gatep = gate.takeP(arena, tokens);
        gate.forward(pass, 0, tokens, middleNormed, gatep, gated, false);
        Tensor upp = up.takeP(arena, tokens);
        up.forward(pass, 0, tokens, middleNormed, upp, upped, false);
        // The product is not kept, but computed again by the backward pass; p of the down projection is, so it comes
        // first.
        Tensor downp = down.takeP(arena, tokens);
        long mark = arena.mark();
        Tensor activated = arena.floats(tokens, down.inFeatures());
        Transformer.siluMulForward(pass.stream(), gated, upped, activated);
        Memory.copy(pass.stream(), middle, out);
        down.forward(pass, 0, tokens, activated, downp, out, true);
        arena.release(mark);
        return new Saved(x, inputRstd, inputNormed, query, key, value, attended, lse, middle, middleRstd, middleNormed,
                gated, upped, qp, kp, vp, op, gatep, upp, downp);
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
        Tensor dactivated = arena.floats(tokens, down.inFeatures());
        Tensor dup = arena.floats(tokens, up.outFeatures());
        Tensor activated = dup;  // needed only until dup is written
        if (down.readsInput()) {
            Transformer.siluMulForward(pass.stream(), saved.gate(), saved.up(), activated);
        }
        down.backward(pass, 0, tokens, activated, dx, saved.downp(), dactivated, false);
        Transformer.siluMulBackward(pass.stream(), saved.gate(), saved.up(), dactivated, dactivated, dup);
        Tensor dgate = dactivated;
        Tensor dnormed = arena.floats(tokens, config.hiddenSize());
        gate.backward(pass, 0, tokens, saved.middleNormed(), dgate, saved.gatep(), dnormed, false);
        up.backward(pass, 0, tokens, saved.middleNormed(), dup, saved.upp(), dnormed, true);
        postAttentionNorm.backward(pass, dnormed, saved.middle(), saved.middleRstd(), dx);
    }

    private void attentionBackward(Pass pass, Tokens batch, Saved saved, Tensor dx, boolean inputGradient) {
        Arena arena = pass.arena();
        long tokens = batch.count();
        Tensor dattended = arena.floats(tokens, o.inFeatures());
        o.backward(pass, 0, tokens, saved.attended(), dx, saved.op(), dattended, false);
        Tensor dq = arena.floats(tokens, q.outFeatures());
        Tensor dk = arena.floats(tokens, k.outFeatures());
        Tensor dv = arena.floats(tokens, v.outFeatures());
        attention.backward(pass.stream(), arena, batch.sequences(), saved.q(), saved.k(), saved.v(), saved.attended(),
                saved.lse(), dattended, dq, dk, dv);
        rotary.apply(pass, config.attention().numAttentionHeads(), batch.positions(), true, dq);
        rotary.apply(pass, config.attention().numKeyValueHeads(), batch.positions(), true, dk);
        Tensor dnormed = inputGradient || inputNorm.isTrained() ? arena.floats(tokens, config.hiddenSize()) : null;
        q.backward(pass, 0, tokens, saved.inputNormed(), dq, saved.qp(), dnormed, false);
        k.backward(pass, 0, tokens, saved.inputNormed(), dk, saved.kp(), dnormed, true);
        v.backward(pass, 0, tokens, saved.inputNormed(), dv, saved.vp(), dnormed, true);
        if (dnormed != null) {
            inputNorm.backward(pass, dnormed, saved.x(), saved.inputRstd(), inputGradient ? dx : null);
        }
    }
}
