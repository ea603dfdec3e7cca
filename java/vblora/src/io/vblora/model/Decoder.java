package io.vblora.model;

import static io.vblora.kernels.global.vblora.VBL_IGNORE_INDEX;

import io.vblora.InputException;
import io.vblora.kernels.Arena;
import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Memory;
import io.vblora.kernels.ops.Transformer;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;

/**
 * A language model of the usual build: a table of embeddings, layers, a norm and a linear output head. What differs
 * from one architecture to the next are the layers and where weights are read from. The head may share the table's
 * weight; as with PEFT, an adapter that holds one of the two leaves the other as it is.
 */
public abstract class Decoder extends AdaptableModel implements CausalLm {
    /** Logits are computed for so many numbers at a time: they are by far the largest intermediate. */
    private static final long LOGITS_AT_ONCE = 1 << 22;

    private final List<Tensor> weights;
    private final Embedding embedding;
    private final LayerStack<?> layers;
    private final RmsNorm norm;
    private final Linear head;
    private final List<ModelPart> parts;
    private final long hiddenSize;
    private final long vocabSize;

    /** @param weights that the parts are made of, closed with the model */
    protected <S> Decoder(List<Tensor> weights, Embedding embedding, List<? extends ModelLayer<S>> layers,
            RmsNorm norm, Linear head) {
        super(new ModelUse());
        this.weights = List.copyOf(weights);
        this.embedding = embedding;
        this.layers = new LayerStack<>(layers);
        this.norm = norm;
        this.head = head;
        this.hiddenSize = head.inFeatures();
        this.vocabSize = head.outFeatures();
        List<ModelPart> all = new ArrayList<>(List.of(embedding));
        all.addAll(layers);
        all.addAll(List.of(norm, head));
        this.parts = List.copyOf(all);
    }

    /** Makes ready what the layers share, for sequences of so many tokens; called before every pass. */
    protected void reserve(Stream stream, int length) {}

    /** Numbers in the weights. */
    public long parameterCount() {
        return weights.stream().mapToLong(Tensor::elements).sum();
    }

    @Override
    final List<ModelPart> parts() {
        return parts;
    }

    @Override
    public float[] logits(Execution execution, TokenBatch batch) {
        check(batch);
        Inputs inputs = new Inputs();
        Tokens.Given given = Tokens.give(inputs, batch, 0, false);
        return reading(execution, batch, () -> execution.evaluate(shape("logits", batch), inputs, pass -> {
            Tensor hidden = hidden(pass, given.in(pass));
            Tensor logits = pass.arena().floats(batch.tokens(), vocabSize);
            head.forward(pass, 0, batch.tokens(), hidden, head.takeP(pass.arena(), batch.tokens()), logits, false);
            return logits;
        }, Tensor::toFloats));
    }

    @Override
    public double lossSum(Execution execution, TokenBatch batch, int[] labels) {
        check(batch, labels);
        Inputs inputs = new Inputs();
        Tokens.Given given = Tokens.give(inputs, batch, 0, false);
        Inputs.Place targets = inputs.ints(batch.next(labels, VBL_IGNORE_INDEX));
        return reading(execution, batch, () -> execution.evaluate(shape("loss", batch), inputs, pass -> {
            Tensor lossSum = pass.arena().take(DType.FLOAT64, 1);
            Memory.zero(pass.stream(), lossSum);
            headLoss(pass, hidden(pass, given.in(pass)), pass.input(targets), lossSum, null, null);
            return lossSum;
        }, lossSum -> lossSum.toDoubles()[0]));
    }

    @Override
    public void addGradients(Execution execution, TokenBatch batch, int[] labels, Training training) {
        if (adapter() == null) {
            throw new IllegalStateException("No adapter is attached: there is nothing to train");
        }
        check(batch, labels);
        Inputs inputs = new Inputs();
        Tokens.Given given = Tokens.give(inputs, batch, 0, false);
        Inputs.Place targets = inputs.ints(batch.next(labels, VBL_IGNORE_INDEX));
        Inputs.Place scale = inputs.scalar((float) training.gradientScale());
        use().training(() -> {
            reserve(execution.stream(), batch.longest());
            execution.train(shape("gradients", batch), inputs, training.step(), pass -> addGradients(pass,
                    given.in(pass), pass.input(targets), training.lossSum(), pass.input(scale)));
        });
    }

    private void addGradients(Pass pass, Tokens batch, Tensor targets, Tensor lossSum, Tensor scale) {
        LayerStack<?>.Tape tape =
                layers.forwardToTrain(pass, batch, embedded(pass, batch), embedding.isTrained());
        Tensor normed = pass.arena().floats(batch.count(), hiddenSize);
        Tensor rstd = norm.forward(pass, tape.output(), normed);
        Tensor dx = pass.arena().floats(batch.count(), hiddenSize);
        Tensor dnormed = pass.arena().floats(batch.count(), hiddenSize);
        headLoss(pass, normed, targets, lossSum, scale, dnormed);
        Memory.zero(pass.stream(), dx);
        norm.backward(pass, dnormed, tape.output(), rstd, dx);
        tape.backward(pass, batch, dx);
        embedding.backward(pass, batch.ids(), dx);
    }

    /** A pass over a batch, for which there are positions enough then. */
    private <T> T reading(Execution execution, TokenBatch batch, Supplier<T> pass) {
        return use().reading(() -> {
            reserve(execution.stream(), batch.longest());
            return pass.get();
        });
    }

    private PassShape shape(String kind, TokenBatch batch) {
        return new PassShape(kind, batch.bucket(), use().layout());
    }

    /** The output of the embeddings [tokens, hidden]. */
    private Tensor embedded(Pass pass, Tokens batch) {
        Tensor x = pass.arena().floats(batch.count(), hiddenSize);
        embedding.forward(pass, batch.ids(), x, false);
        return x;
    }

    /** The normalised output of the last layer [tokens, hidden]. */
    private Tensor hidden(Pass pass, Tokens batch) {
        Tensor last = layers.forward(pass, batch, embedded(pass, batch));
        Tensor normed = pass.arena().floats(last.shape());
        norm.forward(pass, last, normed);
        return normed;
    }

    /**
     * Adds the loss of the output head to lossSum, a few rows at a time.
     *
     * @param scale of the gradients; null without them
     * @param dnormed the gradient of its input, written; null for none
     */
    private void headLoss(Pass pass, Tensor normed, Tensor targets, Tensor lossSum, Tensor scale, Tensor dnormed) {
        Arena arena = pass.arena();
        long tokens = targets.elements();
        long rows = Math.min(tokens, Math.max(16, LOGITS_AT_ONCE / vocabSize));
        for (long row = 0; row < tokens; row += rows) {
            long mark = arena.mark();
            long n = Math.min(rows, tokens - row);
            Tensor x = normed.view(row * hiddenSize, n, hiddenSize);
            Tensor logits = arena.floats(n, vocabSize);
            Tensor p = head.takeP(arena, n);
            head.forward(pass, row, n, x, p, logits, false);
            Transformer.crossEntropy(pass.stream(), arena, logits, targets.view(row, n), scale, lossSum,
                    dnormed == null ? null : logits);
            if (dnormed != null) {
                head.backward(pass, row, n, x, logits, p,
                        dnormed.view(row * hiddenSize, n, hiddenSize), false);
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
    }

    private void check(TokenBatch batch, int[] labels) {
        check(batch);
        if (labels.length != batch.tokens()) {
            throw new IllegalArgumentException(batch.tokens() + " inputIds have as many labels, found "
                    + labels.length);
        }
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
