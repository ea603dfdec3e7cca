package io.vblora.train;

import io.vblora.InputException;
import io.vblora.adapter.Adapter;
import io.vblora.data.SequenceExample;
import io.vblora.eval.ClassificationMetrics;
import io.vblora.eval.RegressionMetrics;
import io.vblora.model.Execution;
import io.vblora.model.ProblemType;
import io.vblora.model.SequenceModel;
import io.vblora.model.TokenBatch;
import io.vblora.model.Training;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;
import java.util.stream.IntStream;

/**
 * Predicting the class or the value of a sequence, with cross-entropy or squared error over the examples. Scores are
 * those of {@link ClassificationMetrics} or {@link RegressionMetrics}. If the adapter trains the head alone, the
 * features that the encoder has for an example never change. They are computed once and kept as long as this object,
 * with hidden_size numbers for each example. Threads may ask for logits and scores at the same time, each with its own
 * execution, while none trains.
 */
public final class SequenceObjective implements Objective<SequenceExample> {
    private final SequenceModel model;
    private final Map<SequenceExample, float[]> features = Collections.synchronizedMap(new IdentityHashMap<>());

    /**
     * @param model with an adapter attached
     * @throws IllegalArgumentException if none is attached
     */
    public SequenceObjective(SequenceModel model) {
        if (model.adapter() == null) {
            throw new IllegalArgumentException("No adapter is attached to the model");
        }
        this.model = model;
    }

    @Override
    public Adapter adapter() {
        return model.adapter();
    }

    private boolean isFrozen() {
        return model.isEncoderFrozen();
    }

    @Override
    public long lossTerms(List<SequenceExample> batch) {
        return batch.size();
    }

    /** @throws InputException if an example has no target */
    @Override
    public void addGradients(Execution execution, List<SequenceExample> batch, Training training) {
        float[] targets = targets("training data", batch);
        if (isFrozen()) {
            model.addGradientsOf(execution, features(execution, batch), targets, training);
        } else {
            model.addGradients(execution, tokens(batch), targets, training);
        }
    }

    /**
     * Logits or, for regression, the predicted values, without dropout: [examples, numLabels] in the order of the
     * examples, which need no targets.
     *
     * @param examples at least one
     * @param batchSize number of examples in a batch, which are of similar length whatever the order of all examples
     * @param scored is told after every batch how many examples have been run
     * @throws InputException if there are more numbers than an array can hold
     */
    public float[] logits(Execution execution, List<SequenceExample> examples, int batchSize, IntConsumer scored) {
        int outputs = model.config().numLabels();
        if ((long) examples.size() * outputs > Integer.MAX_VALUE) {
            throw new InputException("data", "", examples.size() + " examples with " + outputs + " logits each",
                    "at most " + Integer.MAX_VALUE + " logits together");
        }
        float[] logits = new float[examples.size() * outputs];
        forEachRow(execution, examples, batchSize, scored,
                (example, found, start) -> System.arraycopy(found, start, logits, example * outputs, outputs));
        return logits;
    }

    /** Takes the logits of an example, which begin at {@code start}. */
    @FunctionalInterface
    private interface Row {
        void accept(int example, float[] logits, int start);
    }

    private void forEachRow(Execution execution, List<SequenceExample> examples, int batchSize, IntConsumer scored,
            Row row) {
        int outputs = model.config().numLabels();
        int[] longestFirst = IntStream.range(0, examples.size()).boxed()
                .sorted(Comparator.comparingInt(i -> -examples.get(i).length())).mapToInt(i -> i).toArray();
        for (int start = 0; start < longestFirst.length; start += batchSize) {
            int[] indices = Arrays.copyOfRange(longestFirst, start, Math.min(longestFirst.length, start + batchSize));
            List<SequenceExample> batch = Arrays.stream(indices).mapToObj(examples::get).toList();
            float[] found = isFrozen() ? model.logitsOf(execution, features(execution, batch))
                    : model.logits(execution, tokens(batch));
            for (int i = 0; i < indices.length; i++) {
                row.accept(indices[i], found, i * outputs);
            }
            scored.accept(start + indices.length);
        }
    }

    /** @throws InputException if an example has no target */
    @Override
    public Map<String, Double> evaluate(Execution execution, List<SequenceExample> examples, int batchSize,
            IntConsumer scored) {
        Scores scores = scores(examples); // targets are checked before the time is spent
        forEachRow(execution, examples, batchSize, scored, scores);
        return scores.all();
    }

    /**
     * Scores of logits that {@link #logits} gave, as {@link #evaluate} returns them.
     *
     * @throws InputException if an example has no target
     */
    public Map<String, Double> score(float[] logits, List<SequenceExample> examples) {
        Scores scores = scores(examples);
        for (int i = 0; i < examples.size(); i++) {
            scores.accept(i, logits, i * model.config().numLabels());
        }
        return scores.all();
    }

    private Scores scores(List<SequenceExample> examples) {
        float[] targets = targets("held-out data", examples);
        return model.config().problemType() == ProblemType.REGRESSION ? new ValueScores(targets)
                : new ClassScores(targets, model.config().numLabels());
    }

    /** Keeps of each example what its scores need, and not its logits, of which there may be very many. */
    private interface Scores extends Row {
        Map<String, Double> all();
    }

    private static float[] targets(String source, List<SequenceExample> examples) {
        float[] targets = new float[examples.size()];
        for (int i = 0; i < targets.length; i++) {
            targets[i] = examples.get(i).target();
            if (Float.isNaN(targets[i])) {
                throw new InputException(source, "label", "an example without one", "a label for each");
            }
        }
        return targets;
    }

    private static final class ValueScores implements Scores {
        private final double[] predictions;
        private final double[] references;

        ValueScores(float[] targets) {
            predictions = new double[targets.length];
            references = IntStream.range(0, targets.length).mapToDouble(i -> targets[i]).toArray();
        }

        @Override
        public void accept(int example, float[] logits, int start) {
            predictions[example] = logits[start];
        }

        @Override
        public Map<String, Double> all() {
            double squares = 0;
            for (int i = 0; i < predictions.length; i++) {
                squares += (predictions[i] - references[i]) * (predictions[i] - references[i]);
            }
            Map<String, Double> scores = new LinkedHashMap<>();
            scores.put(EVAL_LOSS, squares / predictions.length);
            scores.putAll(RegressionMetrics.of(predictions, references));
            return scores;
        }
    }

    private static final class ClassScores implements Scores {
        private final int classes;
        private final int[] predictions;
        private final int[] references;
        private final double[] losses;

        ClassScores(float[] targets, int classes) {
            this.classes = classes;
            predictions = new int[targets.length];
            references = IntStream.range(0, targets.length).map(i -> (int) targets[i]).toArray();
            losses = new double[targets.length];
        }

        @Override
        public void accept(int example, float[] logits, int start) {
            int largest = 0;
            for (int c = 1; c < classes; c++) {
                largest = logits[start + c] > logits[start + largest] ? c : largest;
            }
            double sum = 0;
            for (int c = 0; c < classes; c++) {
                sum += Math.exp((double) logits[start + c] - logits[start + largest]);
            }
            predictions[example] = largest;
            losses[example] = Math.log(sum)
                    - ((double) logits[start + references[example]] - logits[start + largest]);
        }

        @Override
        public Map<String, Double> all() {
            double loss = 0; // in the examples' order: DoubleStream.sum() would compensate
            for (double one : losses) {
                loss += one;
            }
            Map<String, Double> scores = new LinkedHashMap<>();
            scores.put(EVAL_LOSS, loss / losses.length);
            scores.putAll(ClassificationMetrics.of(predictions, references, classes));
            return scores;
        }
    }

    /** The encoder's features of these examples, [size, hidden_size], computed where they are not known yet. */
    private float[] features(Execution execution, List<SequenceExample> batch) {
        List<SequenceExample> unknown = new ArrayList<>();
        for (SequenceExample example : batch) {
            if (!features.containsKey(example)) {
                unknown.add(example);
            }
        }
        if (!unknown.isEmpty()) {
            float[] found = model.features(execution, tokens(unknown));
            int hidden = found.length / unknown.size();
            for (int i = 0; i < unknown.size(); i++) {
                features.put(unknown.get(i), Arrays.copyOfRange(found, i * hidden, (i + 1) * hidden));
            }
        }
        int hidden = features.get(batch.get(0)).length;
        float[] all = new float[Math.multiplyExact(batch.size(), hidden)];
        for (int i = 0; i < batch.size(); i++) {
            System.arraycopy(features.get(batch.get(i)), 0, all, i * hidden, hidden);
        }
        return all;
    }

    private static TokenBatch tokens(List<SequenceExample> batch) {
        return TokenBatch.of(batch.stream().map(SequenceExample::inputIds).toList(),
                batch.stream().map(SequenceExample::tokenTypeIds).toList());
    }
}
