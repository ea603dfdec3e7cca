package io.vblora.model;

import io.vblora.kernels.Arena;
import io.vblora.kernels.Matrix;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Attention;
import io.vblora.kernels.ops.Memory;
import io.vblora.kernels.ops.Sequences;
import io.vblora.kernels.ops.Transformer;
import io.vblora.model.config.BertConfig;
import java.util.List;
import java.util.stream.Stream;

/** One encoder layer: y = norm(x + attention(x)), then norm(y + mlp(y)). */
final class BertLayer implements ModelLayer<BertLayer.Saved> {
    private final BertConfig config;
    private final Attention attention;
    /** To queries, keys and values. */
    private final LinearGroup qkv;
    private final Linear attentionDense;
    private final LayerNorm attentionNorm;
    private final LinearGroup intermediate;
    private final Linear outputDense;
    private final LayerNorm outputNorm;
    private final List<Linear> linears;
    private final List<Parameter> parameters;

    /**
     * What the backward pass reads of the forward pass; tensors of the arena. The activation is not kept, but computed
     * again from its input.
     */
    record Saved(LinearGroup.Output qkv, Tensor attended, Tensor lse, Tensor attentionDensep, Tensor attentionSum,
            LayerNorm.Saved attentionStatistics, LinearGroup.Output intermediate, Tensor outputDensep,
            Tensor outputSum, LayerNorm.Saved outputStatistics) {}

    /** @param linears query, key, value, attention.output.dense, intermediate.dense, output.dense */
    BertLayer(BertConfig config, List<Linear> linears, LayerNorm attentionNorm, LayerNorm outputNorm) {
        this.config = config;
        int heads = config.layer().numAttentionHeads();
        this.attention = new Attention(heads, heads, config.headDim(), false,
                (float) (1 / Math.sqrt(config.headDim())));
        this.qkv = new LinearGroup(linears.get(0), linears.get(1), linears.get(2));
        this.attentionDense = linears.get(3);
        this.intermediate = new LinearGroup(linears.get(4));
        this.outputDense = linears.get(5);
        this.attentionNorm = attentionNorm;
        this.outputNorm = outputNorm;
        this.linears = List.copyOf(linears);
        this.parameters = Stream.concat(linears.stream(), Stream.of(attentionNorm, outputNorm))
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
        LinearGroup.Output projected = qkv.forward(pass, tokens, x);
        Tensor attended = arena.floats(tokens, config.hiddenSize());
        Sequences sequences = batch.sequences();
        Tensor lse = arena.floats(config.layer().numAttentionHeads(), tokens);
        attention.forward(pass.stream(), arena, sequences, Matrix.of(projected.of(0)), Matrix.of(projected.of(1)),
                Matrix.of(projected.of(2)), Matrix.of(attended), lse);
        Tensor attentionSum = arena.floats(tokens, config.hiddenSize());
        Memory.copy(pass.stream(), x, attentionSum);
        Tensor attentionDensep = attentionDense.takeP(arena, tokens);
        attentionDense.forward(pass, 0, tokens, attended, attentionDensep, attentionSum, true);
        Tensor middle = arena.floats(tokens, config.hiddenSize());
        LayerNorm.Saved attentionStatistics = attentionNorm.forward(pass, attentionSum, middle);

        LinearGroup.Output inner = intermediate.forward(pass, tokens, middle);
        Tensor outputSum = arena.floats(tokens, config.hiddenSize());
        Memory.copy(pass.stream(), middle, outputSum);
        Tensor outputDensep = outputDense.takeP(arena, tokens);
        long mark = arena.mark();
        Tensor activated = arena.floats(tokens, config.layer().intermediateSize());
        Transformer.biasActivationForward(pass.stream(), config.layer().hiddenAct(), null, Matrix.of(inner.of(0)),
                Matrix.of(activated));
        outputDense.forward(pass, 0, tokens, activated, outputDensep, outputSum, true);
        arena.release(mark);
        LayerNorm.Saved outputStatistics = outputNorm.forward(pass, outputSum, out);
        return new Saved(projected, attended, lse, attentionDensep, attentionSum, attentionStatistics, inner,
                outputDensep, outputSum, outputStatistics);
    }

    @Override
    public void backward(Pass pass, Tokens batch, Saved saved, Tensor dx, boolean inputGradient) {
        long mark = pass.arena().mark();
        outputNorm.backward(pass, saved.outputSum(), saved.outputStatistics(), dx);
        mlpBackward(pass, batch.count(), saved, dx);
        pass.arena().release(mark);
        attentionNorm.backward(pass, saved.attentionSum(), saved.attentionStatistics(), dx);
        attentionBackward(pass, batch, saved, dx, inputGradient);
        pass.arena().release(mark);
    }

    /** dx is the gradient of the sum, and thereby of both of its terms: the product's part is added to it. */
    private void mlpBackward(Pass pass, long tokens, Saved saved, Tensor dx) {
        Arena arena = pass.arena();
        Tensor inner = saved.intermediate().of(0);
        Tensor dinner = arena.floats(tokens, config.layer().intermediateSize());
        Tensor activated = null;
        if (outputDense.readsInput()) {
            activated = arena.floats(tokens, config.layer().intermediateSize());
            Transformer.biasActivationForward(pass.stream(), config.layer().hiddenAct(), null, Matrix.of(inner),
                    Matrix.of(activated));
        }
        outputDense.backward(pass, 0, tokens, activated, dx, saved.outputDensep(), dinner, false);
        Matrix gradient = Matrix.of(dinner);
        Transformer.biasActivationBackward(pass.stream(), config.layer().hiddenAct(), Matrix.of(inner), gradient,
                gradient, null);
        intermediate.backward(pass, tokens, saved.intermediate(), List.of(dinner), dx, true);
    }

    private void attentionBackward(Pass pass, Tokens batch, Saved saved, Tensor dx, boolean inputGradient) {
        Arena arena = pass.arena();
        long tokens = batch.count();
        Tensor dattended = arena.floats(tokens, config.hiddenSize());
        attentionDense.backward(pass, 0, tokens, saved.attended(), dx, saved.attentionDensep(), dattended, false);
        LinearGroup.Output projected = saved.qkv();
        List<Tensor> dprojected = qkv.take(arena, tokens);
        attention.backward(pass.stream(), arena, batch.sequences(), Matrix.of(projected.of(0)),
                Matrix.of(projected.of(1)), Matrix.of(projected.of(2)), Matrix.of(saved.attended()), saved.lse(),
                Matrix.of(dattended), Matrix.of(dprojected.get(0)), Matrix.of(dprojected.get(1)),
                Matrix.of(dprojected.get(2)));
        qkv.backward(pass, tokens, projected, dprojected, inputGradient ? dx : null, true);
    }
}
