package io.vblora.model;

import io.vblora.InputException;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.ModuleShape;
import io.vblora.kernels.Arena;
import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.model.config.Pooling;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A BERT-type encoder with a trained head for one class or one number per sequence: Hugging Face's model for
 * sequence classification, and its names of modules. The head's weights are the adapter's. Dropout is drawn only on the
 * adapter's branches, as its configuration says; the base model's own dropout is not.
 *
 * <p>An adapter that is attached has to hold the head. If it has no task yet, it is one for this model's from then on;
 * one for other classes, another problem or another pooling is refused.
 *
 * <p>Threads may compute with one model at the same time, each with its own {@link Execution} and stream: {@link
 * #logits}, {@link #features}, {@link #logitsOf} and what {@link #encoder} has, with the bits that they have alone. The
 * methods that add to the adapter's gradients, {@link #attach} and {@link #close} are for one thread while no other
 * computes. A thread that comes at the wrong time gets an {@link IllegalStateException} and changes nothing.
 */
public final class SequenceModel extends AdaptableModel {
    private final BertModel encoder;
    private final SequenceConfig config;
    private final Pooler pooler;
    private final SequenceHead head;

    private SequenceModel(BertModel encoder, SequenceConfig task) {
        super(encoder.use());
        this.encoder = encoder;
        this.config = task.pooling() == null ? task.withPooling(encoder.defaultPooling()) : task;
        if (config.maxSeqLength() > encoder.config().maxLength()) {
            throw new InputException("task", "max_seq_length", Integer.toString(config.maxSeqLength()), "at most "
                    + encoder.config().maxLength() + ", for which the model has positions");
        }
        this.pooler = encoder.pooler(config.pooling());
        this.head = new SequenceHead(encoder.config().isRoberta() && config.pooling() == Pooling.CLS,
                encoder.config().hiddenSize(), config.numLabels());
    }

    /**
     * Loads the encoder; the head comes with an adapter.
     *
     * @param model as {@link BertModel#load}
     * @param task its pooling may be null: the model's own
     * @param dtype as {@link BertModel#load}
     * @throws InputException if the model is not a BERT-type encoder, or the task does not fit it
     */
    public static SequenceModel load(Path model, SequenceConfig task, DType dtype, Stream stream) {
        BertModel encoder = BertModel.load(model, dtype, stream);
        try {
            return new SequenceModel(encoder, task);
        } catch (RuntimeException | Error e) {
            encoder.close();
            throw e;
        }
    }

    /** The task; its pooling is set. */
    public SequenceConfig config() {
        return config;
    }

    public BertModel encoder() {
        return encoder;
    }

    @Override
    protected List<ModelPart> parts() {
        List<ModelPart> parts = new ArrayList<>(encoder.parts());
        parts.addAll(List.of(pooler, head));
        return parts;
    }

    /** A pooler that this way of pooling passes by. */
    @Override
    public List<ModuleShape> idleLinears() {
        return pooler.linears().isEmpty() ? List.of(encoder.poolerShape()) : List.of();
    }

    @Override
    public double initializerRange() {
        return encoder.config().initializerRange();
    }

    @Override
    protected void check(Adapter newAdapter) {
        config.requireSame(newAdapter);
    }

    /** An adapter without a task is one for this model's from now on, which {@link Adapter#save} writes beside it. */
    @Override
    protected void attached(Adapter newAdapter) {
        newAdapter.setTaskConfigIfAbsent(config.json());
    }

    /**
     * Logits [size, numLabels], for regression the predictions [size].
     *
     * @throws IllegalStateException without an adapter
     * @throws IllegalArgumentException if a sequence uses no adapter, or a slot without one; or if several are attached
     * and the batch names none
     */
    public float[] logits(Execution execution, TokenBatch batch) {
        check(batch);
        return encoder.evaluate(execution, "logits", batch, (pass, tokens) -> {
            requireHeads(tokens.sequenceRows());
            return head.forward(pass, tokens.sequenceRows(), pooled(pass, tokens)).logits();
        });
    }

    /**
     * A training pass, with dropout: adds the loss summed over the sequences, cross-entropy or the squared error, to
     * {@link Training#lossSum}, and its gradients to those of the adapter's composition and of its head. It does not
     * wait for the stream.
     *
     * @param targets [size], index of the class, or the number
     * @throws IllegalStateException without an adapter, or if its training is not enabled
     */
    public void addGradients(Execution execution, TokenBatch batch, float[] targets, Training training) {
        check(batch);
        checkTargets(batch.size(), targets);
        Inputs inputs = new Inputs();
        Loss.Given loss = Loss.give(inputs, config.problemType(), targets, training);
        use().training(updates -> {
            Tokens.Given given = encoder.give(inputs, batch, updates.slotsToTrain(batch));
            execution.train(given.shape("gradients", updates), updates, inputs, training.step(),
                    pass -> addGradients(pass, given.in(pass), loss.in(pass)));
        });
    }

    private void addGradients(Pass pass, Tokens batch, Loss loss) {
        Arena arena = pass.arena();
        Rows rows = batch.sequenceRows();
        long hiddenSize = encoder.config().hiddenSize();
        BertModel.Tape tape = encoder.hiddenToTrain(pass, batch);
        Tensor features = arena.floats(rows.count(), hiddenSize);
        Pooler.Saved pooled = pooler.forward(pass, batch, tape.output(), features);
        boolean trainsEncoder = encoder.isTrained(pass.updates());
        Tensor dfeatures = trainsEncoder || pass.trains(pooler) ? arena.floats(rows.count(), hiddenSize) : null;
        addHeadGradients(pass, rows, features, loss, dfeatures);
        if (dfeatures != null) {
            Tensor dhidden = trainsEncoder ? arena.floats(batch.count(), hiddenSize) : null;
            pooler.backward(pass, batch, pooled, dfeatures, dhidden);
            if (trainsEncoder) {
                encoder.backward(pass, batch, tape, dhidden);
            }
        }
    }

    /** Whether the attached adapter trains the head alone: features then stay what they are. */
    public boolean isEncoderFrozen() {
        return isEncoderFrozen(use().updates());
    }

    private boolean isEncoderFrozen(Updates updates) {
        return !encoder.isTrained(updates) && !updates.holdsAnyOf(pooler);
    }

    /** The pooled output of the encoder [size, hidden], which the head reads. */
    public float[] features(Execution execution, TokenBatch batch) {
        encoder.check(batch);
        return encoder.evaluate(execution, "features", batch, this::pooled);
    }

    /**
     * {@link #logits} of sequences whose {@link #features} are known.
     *
     * @throws IllegalStateException unless one adapter is attached
     */
    public float[] logitsOf(Execution execution, float[] features) {
        int size = checkFeatures(features);
        Inputs inputs = new Inputs();
        Inputs.Place given = inputs.floats(features, size, encoder.config().hiddenSize());
        Rows rows = Rows.of(size, 0);
        return use().reading(updates -> {
            updates.only();
            return execution.evaluate(headShape("head's logits", rows, updates), updates, inputs,
                    pass -> head.forward(pass, rows, pass.input(given)).logits(), Tensor::toFloats);
        });
    }

    /** {@link #addGradients} of sequences whose {@link #features} are known, for an adapter that is only a head. */
    public void addGradientsOf(Execution execution, float[] features, float[] targets, Training training) {
        int size = checkFeatures(features);
        checkTargets(size, targets);
        Inputs inputs = new Inputs();
        Inputs.Place given = inputs.floats(features, size, encoder.config().hiddenSize());
        Loss.Given loss = Loss.give(inputs, config.problemType(), targets, training);
        Rows rows = Rows.of(size, 0);
        use().training(updates -> {
            if (!isEncoderFrozen(updates)) {
                throw new IllegalStateException("The adapter trains the encoder: its features change with every "
                        + "update");
            }
            execution.train(headShape("head's gradients", rows, updates), updates, inputs, training.step(),
                    pass -> addHeadGradients(pass, rows, pass.input(given), loss.in(pass), null));
        });
    }

    private static PassShape headShape(String kind, Rows rows, Updates updates) {
        return new PassShape(kind, new Bucket((int) rows.count(), 0, 0), List.of(rows), updates.layout());
    }

    private Tensor pooled(Pass pass, Tokens batch) {
        Tensor features = pass.arena().floats(batch.sequences().size(), encoder.config().hiddenSize());
        pooler.forward(pass, batch, encoder.hidden(pass, batch), features);
        return features;
    }

    /** The gradients of the head are added to, dfeatures overwritten unless null. */
    private void addHeadGradients(Pass pass, Rows rows, Tensor features, Loss loss, Tensor dfeatures) {
        SequenceHead.Saved saved = head.forward(pass, rows, features);
        loss.add(pass, saved.logits());
        head.backward(pass, rows, saved, saved.logits(), dfeatures); // they have become their gradients
    }

    private void check(TokenBatch batch) {
        encoder.check(batch);
        requireHead();
    }

    /** Requires an adapter of each sequence. */
    private static void requireHeads(Rows sequences) {
        for (Rows.Run run : sequences.runs()) {
            if (run.slot() == TokenBatch.NO_ADAPTER) {
                throw new IllegalArgumentException("sequence " + run.first() + " uses no adapter: the head's weights "
                        + "are the adapter's");
            }
        }
    }

    private int checkFeatures(float[] features) {
        requireHead();
        int hidden = encoder.config().hiddenSize();
        if (features.length == 0 || features.length % hidden != 0) {
            throw new IllegalArgumentException("Features are rows of " + hidden + " numbers, found " + features.length
                    + " in all");
        }
        return features.length / hidden;
    }

    private void requireHead() {
        if (adapters().isEmpty()) {
            throw new IllegalStateException("No adapter is attached: the head's weights are the adapter's");
        }
    }

    private void checkTargets(int size, float[] targets) {
        if (targets.length != size) {
            throw new IllegalArgumentException(size + " sequences have as many targets, found " + targets.length);
        }
        if (config.problemType() == ProblemType.SINGLE_LABEL_CLASSIFICATION) {
            for (float target : targets) {
                if (!(target >= 0 && target < config.numLabels() && target == (int) target)) {
                    throw new IllegalArgumentException("A target is " + target + "; expected the index of a class, "
                            + "below " + config.numLabels());
                }
            }
        }
    }

    @Override
    public void close() {
        encoder.close();
    }
}
