package io.vblora.model;

import io.vblora.kernels.Arena;
import io.vblora.kernels.Matrix;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Attention;
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
    private final LinearGroup attentionDense;
    private final LayerNorm attentionNorm;
    private final LinearGroup intermediate;
    private final LinearGroup outputDense;
    private final LayerNorm outputNorm;
    private final List<Linear> linears;
    private final List<Parameter> parameters;

    /**
     * What the backward pass reads of the forward pass; tensors of the arena. The activation is not kept, but computed
     * again from its input.
     */
    record Saved(Tensor x, LinearGroup.Output qkv, Tensor attended, Tensor lse, Tensor reducedAttended,
            Tensor attentionSum, LayerNorm.Saved attentionStatistics, Tensor middle, LinearGroup.Output intermediate,
            Tensor reducedActivated, Tensor outputSum, LayerNorm.Saved outputStatistics) {}

    BertLayer(BertConfig config, LinearGroup qkv, LinearGroup attentionDense, LinearGroup intermediate,
            LinearGroup outputDense, LayerNorm attentionNorm, LayerNorm outputNorm) {
        this.config = config;
        int heads = config.layer().numAttentionHeads();
        this.attention = new Attention(heads, heads, config.headDim(), false,
                (float) (1 / Math.sqrt(config.headDim())));
        this.qkv = qkv;
        this.attentionDense = attentionDense;
        this.intermediate = intermediate;
        this.outputDense = outputDense;
        this.attentionNorm = attentionNorm;
        this.outputNorm = outputNorm;
        this.linears = Stream.of(qkv, attentionDense, intermediate, outputDense)
                .flatMap(group -> group.members().stream()).toList();
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
        Rows rows = batch.rows();
        long tokens = batch.count();
        LinearGroup.Output projected = qkv.forward(pass, rows, x);
        Tensor attended = arena.floats(tokens, config.hiddenSize());
        Sequences sequences = batch.sequences();
        Tensor lse = arena.floats(config.layer().numAttentionHeads(), tokens);
        attention.forward(pass.stream(), arena, sequences, projected.of(0), projected.of(1), projected.of(2),
                Matrix.of(attended), lse);
        Tensor attentionSum = arena.floats(tokens, config.hiddenSize());
        Tensor reducedAttended = attentionDense.takeReduced(pass, rows);
        attentionDense.forward(pass, rows, attended, x, reducedAttended, attentionSum);
        Tensor middle = arena.floats(tokens, config.hiddenSize());
        LayerNorm.Saved attentionStatistics = attentionNorm.forward(pass, rows, attentionSum, middle);

        LinearGroup.Output inner = intermediate.product(pass, rows, middle);
        Tensor outputSum = arena.floats(tokens, config.hiddenSize());
        Tensor reducedActivated = outputDense.takeReduced(pass, rows);
        long mark = arena.mark();
        Tensor activated = arena.floats(tokens, config.layer().intermediateSize());
        intermediate.activate(pass, rows, inner, config.layer().hiddenAct(), activated);
        outputDense.forward(pass, rows, activated, middle, reducedActivated, outputSum);
        arena.release(mark);
        LayerNorm.Saved outputStatistics = outputNorm.forward(pass, rows, outputSum, out);
        return new Saved(x, projected, attended, lse, reducedAttended, attentionSum, attentionStatistics, middle, inner,
                reducedActivated, outputSum, outputStatistics);
    }

    @Override
    public void backward(Pass pass, Tokens batch, Saved saved, Tensor dx, boolean inputGradient) {
        long mark = pass.arena().mark();
        outputNorm.backward(pass, saved.outputSum(), saved.outputStatistics(), dx);
        mlpBackward(pass, batch.rows(), saved, dx);
        pass.arena().release(mark);
        attentionNorm.backward(pass, saved.attentionSum(), saved.attentionStatistics(), dx);
        attentionBackward(pass, batch, saved, dx, inputGradient);
        pass.arena().release(mark);
    }

    /** dx is the gradient of the sum, and thereby of both of its terms: the product's part is added to it. */
    private void mlpBackward(Pass pass, Rows rows, Saved saved, Tensor dx) {
        Arena arena = pass.arena();
        Matrix inner = saved.intermediate().of(0);
        Tensor dinner = arena.floats(rows.count(), config.layer().intermediateSize());
        Tensor activated = null;
        if (outputDense.readsInput(pass)) {
            activated = arena.floats(rows.count(), config.layer().intermediateSize());
            Transformer.biasActivationForward(pass.stream(), config.layer().hiddenAct(), null, inner,
                    Matrix.of(activated));
        }
        outputDense.backward(pass, rows, activated, saved.reducedActivated(), dx, dinner, false);
        Matrix gradient = Matrix.of(dinner);
        Transformer.biasActivationBackward(pass.stream(), config.layer().hiddenAct(), inner, gradient, gradient, null);
        intermediate.backward(pass, rows, saved.middle(), saved.intermediate().reduced(), dinner, dx, true);
    }

    private void attentionBackward(Pass pass, Tokens batch, Saved saved, Tensor dx, boolean inputGradient) {
        Arena arena = pass.arena();
        long tokens = batch.count();
        Tensor dattended = arena.floats(tokens, config.hiddenSize());
        attentionDense.backward(pass, batch.rows(), saved.attended(), saved.reducedAttended(), dx, dattended,
                false);
        LinearGroup.Output projected = saved.qkv();
        Tensor dprojected = qkv.take(arena, batch.rows());
        List<Matrix> columns = qkv.columns(dprojected);
        attention.backward(pass.stream(), arena, batch.sequences(), projected.of(0), projected.of(1), projected.of(2),
                Matrix.of(saved.attended()), saved.lse(), Matrix.of(dattended), columns.get(0), columns.get(1),
                columns.get(2));
        qkv.backward(pass, batch.rows(), saved.x(), projected.reduced(), dprojected, inputGradient ? dx : null, true);
    }
}
