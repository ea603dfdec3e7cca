package io.vblora.model.toybigram;

import io.vblora.kernels.DType;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Memory;
import io.vblora.kernels.ops.Transformer;
import io.vblora.model.AdaptableModel;
import io.vblora.model.CausalLm;
import io.vblora.model.Embedding;
import io.vblora.model.Execution;
import io.vblora.model.Inputs;
import io.vblora.model.Linear;
import io.vblora.model.LinearGroup;
import io.vblora.model.ModelPart;
import io.vblora.model.Parameter;
import io.vblora.model.Pass;
import io.vblora.model.Rows;
import io.vblora.model.ScoredRows;
import io.vblora.model.TokenBatch;
import io.vblora.model.Tokens;
import io.vblora.model.Training;
import io.vblora.model.config.DecoderConfig;
import java.util.List;

/** A language model that is built otherwise than a decoder: a table of embeddings and a head, without a norm. */
final class ToyBigram extends AdaptableModel implements CausalLm {
    static final int VOCABULARY = 9;
    static final int HIDDEN = 6;

    private final Embedding table;
    private final LinearGroup head;
    private final List<ModelPart> parts;

    /** @param weights of table and head [vocabulary, hidden], closed with the model */
    ToyBigram(Tensor table, Tensor head) {
        Linear linear = new Linear("head", new Parameter("head.weight", head), null);
        this.table = new Embedding(new Parameter("table.weight", table), -1);
        this.head = new LinearGroup(linear);
        this.parts = List.of(this.table, linear);
    }

    @Override
    protected List<ModelPart> parts() {
        return parts;
    }

    @Override
    public DecoderConfig config() {
        return new DecoderConfig() {
            @Override
            public int vocabSize() {
                return VOCABULARY;
            }

            @Override
            public int maxPositionEmbeddings() {
                return Integer.MAX_VALUE;
            }
        };
    }

    @Override
    public float[] logits(Execution execution, TokenBatch batch) {
        batch.checkIds(VOCABULARY);
        Inputs inputs = new Inputs();
        return use().reading(updates -> {
            Tokens.Given given = Tokens.give(inputs, batch, updates.slots(batch), 0, false);
            return execution.evaluate(given.shape("logits", updates), updates, inputs, pass -> {
                Tokens tokens = given.in(pass);
                return head.forward(pass, tokens.rows(), embedded(pass, tokens)).all();
            }, Tensor::toFloats);
        });
    }

    @Override
    public double lossSum(Execution execution, TokenBatch batch, int[] labels) {
        batch.checkIds(VOCABULARY);
        batch.checkLabels(labels, VOCABULARY);
        Inputs inputs = new Inputs();
        ScoredRows.Given scored = ScoredRows.give(inputs, batch, labels, true);
        return use().reading(updates -> {
            Tokens.Given given = Tokens.give(inputs, batch, updates.slots(batch), 0, false);
            return execution.evaluate(given.shape("loss", updates), updates, inputs, pass -> {
                Tokens tokens = given.in(pass);
                Tensor lossSum = pass.arena().take(DType.FLOAT64, 1);
                Memory.zero(pass.stream(), lossSum);
                Tensor logits = head.forward(pass, tokens.rows(), embedded(pass, tokens)).all();
                Transformer.crossEntropy(pass.stream(), pass.arena(), logits, scored.in(pass, tokens).targets(), null,
                        lossSum, null);
                return lossSum;
            }, lossSum -> lossSum.toDoubles()[0]);
        });
    }

    @Override
    public void addGradients(Execution execution, TokenBatch batch, int[] labels, Training training) {
        batch.checkIds(VOCABULARY);
        batch.checkLabels(labels, VOCABULARY);
        Inputs inputs = new Inputs();
        ScoredRows.Given scored = ScoredRows.give(inputs, batch, labels, true);
        Inputs.Place scale = inputs.scalar((float) training.gradientScale());
        use().training(updates -> {
            Tokens.Given given = Tokens.give(inputs, batch, updates.slotsToTrain(batch), 0, false);
            execution.train(given.shape("gradients", updates), updates, inputs, training.step(), pass -> {
                Tokens tokens = given.in(pass);
                Rows rows = tokens.rows();
                Tensor x = embedded(pass, tokens);
                LinearGroup.Output output = head.forward(pass, rows, x);
                Transformer.crossEntropy(pass.stream(), pass.arena(), output.all(), scored.in(pass, tokens).targets(),
                        pass.input(scale), training.lossSum(), output.all());
                Tensor dx = pass.arena().floats(x.shape());
                head.backward(pass, rows, x, output.reduced(), output.all(), dx, false);
                table.backward(pass, tokens.ids(), dx);
            });
        });
    }

    private Tensor embedded(Pass pass, Tokens tokens) {
        Tensor x = pass.arena().floats(tokens.count(), HIDDEN);
        table.forward(pass, tokens.rows(), tokens.ids(), x, false);
        return x;
    }

    @Override
    public void close() {
        use().close(() -> {
            table.weight().base().close();
            head.members().get(0).weight().base().close();
        });
    }
}
