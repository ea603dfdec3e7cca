package io.vblora.model;

import io.vblora.InputException;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.ModuleShape;
import io.vblora.kernels.Arena;
import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Memory;
import io.vblora.kernels.ops.Transformer;
import io.vblora.model.config.Pooling;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/**
 * A BERT-type encoder with a trained head for one class or one number per sequence: Hugging Face's model for
 * sequence classification, and its names of modules. The head's weights are the adapter's. Dropout is drawn only on the
 * adapter's branches, as its configuration says; the base model's own dropout is not.
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
    List<ModelPart> parts() {
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

    /**
     * {@inheritDoc}
     *
     * <p>The adapter has to hold the head. It is one for this model's task from now on, which {@link Adapter#save}
     * writes beside it.
     */
    @Override
    public void attach(Adapter newAdapter) {
        super.attach(newAdapter);
        if (newAdapter != null) {
            newAdapter.setTaskConfig(config.json());
        }
    }

    /**
     * Logits [size, numLabels], for regression the predictions [size].
     *
     * @throws IllegalStateException without an adapter
     */
    public float[] logits(Execution execution, TokenBatch batch) {
        check(batch);
        return run(execution, "logits", batch, run -> logits(run, pooled(run, batch), batch.size()));
    }

    /**
     * The loss summed over the sequences, cross-entropy or the squared error, and its gradients times {@code gradientScale},
     * added to those of the adapter's composition and of its head.
     *
     * @param targets [size], index of the class, or the number
     * @throws IllegalStateException without an adapter, or if its training is not enabled
     */
    public double lossSumAndGradients(Execution execution, TokenBatch batch, float[] targets, double gradientScale) {
        check(batch);
        checkTargets(batch.size(), targets);
        return use().training(() -> run(execution, "gradients", batch, run -> {
            Arena arena = run.arena();
            long hiddenSize = encoder.config().hiddenSize();
            Inputs inputs = encoder.inputs(run, batch);
            BertModel.Tape tape = encoder.hiddenToTrain(run, batch, inputs);
            Tensor features = arena.floats(batch.size(), hiddenSize);
            Pooler.Saved pooled = pooler.forward(run, inputs, tape.output(), features);
            boolean trainsEncoder = encoder.isTrained();
            Tensor dfeatures = trainsEncoder || pooler.isTrained() ? arena.floats(batch.size(), hiddenSize) : null;
            Tensor loss = headLoss(run, features, targets, run.scalar((float) gradientScale), dfeatures);
            if (dfeatures != null) {
                Tensor dhidden = trainsEncoder ? arena.floats(batch.tokens(), hiddenSize) : null;
                pooler.backward(run, inputs, pooled, dfeatures, dhidden);
                if (trainsEncoder) {
                    encoder.backward(run, inputs, tape, dhidden);
                }
            }
            return run.readDouble(loss);
        }));
    }

    /** Whether the attached adapter trains the head alone: features then stay what they are. */
    public boolean isEncoderFrozen() {
        return !encoder.isTrained() && !pooler.isTrained();
    }

    /** The pooled output of the encoder [size, hidden], which the head reads. */
    public float[] features(Execution execution, TokenBatch batch) {
        encoder.check(batch);
        return run(execution, "features", batch, run -> run.read(pooled(run, batch)));
    }

    /** {@link #logits} of sequences whose {@link #features} are known. */
    public float[] logitsOf(Execution execution, float[] features) {
        int size = checkFeatures(features);
        return runHead(execution, "logits", size, run -> logits(run, onDevice(run, features, size), size));
    }

    /** {@link #lossSumAndGradients} of sequences whose {@link #features} are known, for an adapter that is but a head. */
    public double lossSumAndGradientsOf(Execution execution, float[] features, float[] targets, double gradientScale) {
        int size = checkFeatures(features);
        checkTargets(size, targets);
        if (!isEncoderFrozen()) {
            throw new IllegalStateException("The adapter trains the encoder: its features change with every update");
        }
        return use().training(() -> runHead(execution, "gradients", size, run -> run.readDouble(headLoss(run,
                onDevice(run, features, size), targets, run.scalar((float) gradientScale), null))));
    }

    private <T> T run(Execution execution, String kind, TokenBatch batch, Function<Execution, T> pass) {
        return use().reading(() -> execution.run(PassShape.of(kind, batch, use().layout()), pass));
    }

    private <T> T runHead(Execution execution, String kind, int size, Function<Execution, T> pass) {
        return use().reading(() -> execution.run(
                new PassShape(kind, size, 0, 0, use().layout()), pass));
    }

    private Tensor pooled(Execution run, TokenBatch batch) {
        Inputs inputs = encoder.inputs(run, batch);
        Tensor features = run.arena().floats(batch.size(), encoder.config().hiddenSize());
        pooler.forward(run, inputs, encoder.hidden(run, batch, inputs), features);
        return features;
    }

    private Tensor onDevice(Execution run, float[] features, int size) {
        return run.floats(features, size, encoder.config().hiddenSize());
    }

    private float[] logits(Execution run, Tensor features, int size) {
        Tensor logits = run.arena().floats(size, config.numLabels());
        head.forward(run, size, features, logits);
        return run.read(logits);
    }

    /** The sum of the loss, float64; the gradients of the head are added to, dfeatures overwritten unless null. */
    private Tensor headLoss(Execution run, Tensor features, float[] targets, Tensor scale, Tensor dfeatures) {
        Arena arena = run.arena();
        Tensor lossSum = arena.take(DType.FLOAT64, 1);
        Memory.zero(run.stream(), lossSum);
        Tensor logits = arena.floats(targets.length, config.numLabels());
        SequenceHead.Saved saved = head.forward(run, targets.length, features, logits);
        if (config.problemType() == ProblemType.REGRESSION) {
            Transformer.squaredError(run.stream(), arena, logits, run.floats(targets, targets.length), scale, lossSum,
                    logits);
        } else {
            Transformer.crossEntropy(run.stream(), arena, logits, run.ints(classes(targets)), scale, lossSum, logits);
        }
        head.backward(run, targets.length, saved, logits, dfeatures); // they have become their gradients
        return lossSum;
    }

    private static int[] classes(float[] targets) {
        int[] classes = new int[targets.length];
        for (int i = 0; i < classes.length; i++) {
            classes[i] = (int) targets[i];
        }
        return classes;
    }

    private void check(TokenBatch batch) {
        encoder.check(batch);
        requireHead();
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
        if (adapter() == null) {
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
