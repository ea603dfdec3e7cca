package io.vblora.model;

import io.vblora.InputException;
import io.vblora.kernels.Arena;
import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Memory;
import io.vblora.kernels.ops.Transformer;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BiFunction;
import java.util.function.Function;

/**
 * A language model of the usual build: embeddings, layers, a norm and a linear output head. What differs from one
 * architecture to the next are the layers and where weights are read from. The head may share the weight of the tokens'
 * table; as with PEFT, an adapter that holds one of the two leaves the other as it is.
 */
public abstract class Decoder extends AdaptableModel implements CausalLm {
    private final List<Tensor> weights;
    private final InputEmbeddings embeddings;
    private final LayerStack<?> layers;
    private final Norm<?> norm;
    private final LinearGroup head;
    private final List<ModelPart> parts;
    private final long hiddenSize;
    private final long vocabSize;
    /** Logits are computed for so many numbers at a time: they are by far the largest intermediate. */
    private long logitsAtOnce = 1 << 22;

    /** @param weights that the parts are made of, closed with the model */
    protected <S> Decoder(List<Tensor> weights, InputEmbeddings embeddings, List<? extends ModelLayer<S>> layers,
            Norm<?> norm, Linear head) {
        this.weights = List.copyOf(weights);
        this.embeddings = embeddings;
        this.layers = new LayerStack<>(layers);
        this.norm = norm;
        this.head = new LinearGroup(head);
        this.hiddenSize = head.inFeatures();
        this.vocabSize = head.outFeatures();
        List<ModelPart> all = new ArrayList<>(List.of(embeddings));
        all.addAll(layers);
        all.addAll(List.of(norm, head));
        this.parts = List.copyOf(all);
    }

    /** Makes ready what the layers share, for sequences of so many tokens; called before every pass. */
    protected void reserve(Stream stream, int length) {}

    /** Sets how many logits are computed at a time, of one row at least; before any pass. */
    void logitsAtOnce(long numbers) {
        logitsAtOnce = numbers;
    }

    /** Numbers in the weights. */
    public long parameterCount() {
        return weights.stream().mapToLong(Tensor::elements).sum();
    }

    @Override
    protected final List<ModelPart> parts() {
        return parts;
    }

    @Override
    public float[] logits(Execution execution, TokenBatch batch) {
        check(batch);
        return evaluate(execution, "logits", batch, new Inputs(), null,
                (pass, tokens) -> head.forward(pass, tokens.rows(), hidden(pass, tokens)).all(), Tensor::toFloats);
    }

    @Override
    public double lossSum(Execution execution, TokenBatch batch, int[] labels) {
        check(batch, labels);
        Inputs inputs = new Inputs();
        ScoredRows.Given scored = ScoredRows.give(inputs, batch, labels, false);
        return evaluate(execution, "loss", batch, inputs, scored, (pass, tokens) -> {
            Tensor lossSum = pass.arena().take(DType.FLOAT64, 1);
            Memory.zero(pass.stream(), lossSum);
            headLoss(pass, scored.in(pass, tokens), hidden(pass, tokens), lossSum, null, null);
            return lossSum;
        }, lossSum -> lossSum.toDoubles()[0]);
    }

    @Override
    public void addGradients(Execution execution, TokenBatch batch, int[] labels, Training training) {
        check(batch, labels);
        Inputs inputs = new Inputs();
        Inputs.Place scale = inputs.scalar((float) training.gradientScale());
        use().training(updates -> {
            int[] slots = updates.slotsToTrain(batch);
            reserve(execution.stream(), batch.longest());
            ScoredRows.Given scored = ScoredRows.give(inputs, batch, labels, updates.drawsDropout(head));
            Tokens.Given given = Tokens.give(inputs, batch, slots, 0, false);
            execution.train(given.shape("gradients", updates, scored.rows(given.rows())), updates, inputs,
                    training.step(), pass -> addGradients(pass, given.in(pass), norm, scored, training.lossSum(),
                            pass.input(scale)));
        });
    }

    private <S> void addGradients(Pass pass, Tokens batch, Norm<S> norm, ScoredRows.Given scored, Tensor lossSum,
            Tensor scale) {
        LayerStack<?>.Tape tape =
                layers.forwardToTrain(pass, batch, embedded(pass, batch), pass.trains(embeddings));
        Tensor normed = pass.arena().floats(batch.count(), hiddenSize);
        S saved = norm.forward(pass, batch.rows(), tape.output(), normed);
        Tensor dnormed = pass.arena().floats(batch.count(), hiddenSize);
        headLoss(pass, scored.in(pass, batch), normed, lossSum, scale, dnormed);
        Tensor dx = norm.inputGradient(pass, dnormed, tape.output(), saved);
        tape.backward(pass, batch, dx);
        embeddings.backward(pass, batch, dx);
    }

    /**
     * Runs an evaluation of a batch, for which there are positions enough then.
     *
     * @param scored the rows that the head computes; null for all
     */
    private <T> T evaluate(Execution execution, String kind, TokenBatch batch, Inputs inputs, ScoredRows.Given scored,
            BiFunction<Pass, Tokens, Tensor> ops, Function<Tensor, T> reading) {
        return use().reading(updates -> {
            reserve(execution.stream(), batch.longest());
            Tokens.Given given = Tokens.give(inputs, batch, updates.slots(batch), 0, false);
            Rows[] others = scored == null ? new Rows[0] : new Rows[] {scored.rows(given.rows())};
            return execution.evaluate(given.shape(kind, updates, others), updates, inputs,
                    pass -> ops.apply(pass, given.in(pass)), reading);
        });
    }

    /** The output of the embeddings [tokens, hidden]. */
    private Tensor embedded(Pass pass, Tokens batch) {
        Tensor x = pass.arena().floats(batch.count(), hiddenSize);
        embeddings.forward(pass, batch, x);
        return x;
    }

    /** The normalised output of the last layer [tokens, hidden]. */
    private Tensor hidden(Pass pass, Tokens batch) {
        Tensor last = layers.forward(pass, batch, embedded(pass, batch));
        Tensor normed = pass.arena().floats(last.shape());
        norm.forward(pass, batch.rows(), last, normed);
        return normed;
    }

    /**
     * Adds the loss of the output head to lossSum, a few of the scored rows at a time.
     *
     * @param normed the input of the head [tokens, hidden]
     * @param scale of the gradients; null without them
     * @param dnormed the gradient of its input, written; null for none
     */
    private void headLoss(Pass pass, ScoredRows scored, Tensor normed, Tensor lossSum, Tensor scale, Tensor dnormed) {
        Arena arena = pass.arena();
        if (dnormed != null) {
            Memory.zero(pass.stream(), dnormed);
        }
        long rows = Math.min(scored.count(), Math.max(1, logitsAtOnce / vocabSize));
        for (long row = 0; row < scored.count(); row += rows) {
            long mark = arena.mark();
            ScoredRows part = scored.part(row, Math.min(rows, scored.count() - row));
            Tensor x = part.gather(pass, normed);
            LinearGroup.Output output = head.forward(pass, part.rows(), x);
            Tensor logits = output.all();
            Transformer.crossEntropy(pass.stream(), arena, logits, part.targets(), scale, lossSum,
                    dnormed == null ? null : logits);
            if (dnormed != null) {
                Tensor dx = arena.floats(x.shape());
                head.backward(pass, part.rows(), x, output.reduced(), logits, dx, false);
                part.scatter(pass, dx, dnormed);
            }
            arena.release(mark);
        }
    }

    private void check(TokenBatch batch) {
        int most = config().maxPositionEmbeddings();
        if (batch.longest() > most) {
            throw new InputException("batch", "length", batch.longest() + " tokens", "at most max_position_embeddings, "
                    + most);
        }
        batch.checkIds(Math.toIntExact(embeddings.tokens().weight().dimension(0)));
    }

    private void check(TokenBatch batch, int[] labels) {
        check(batch);
        batch.checkLabels(labels, Math.toIntExact(vocabSize));
    }

    @Override
    public final void close() {
        use().close(() -> {
            free();
            weights.forEach(Tensor::close);
        });
    }

    /** Frees what the layers share; called when the model is closed. */
    protected void free() {}
}
