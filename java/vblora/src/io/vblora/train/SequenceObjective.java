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
 * Predicting the class or the value of a sequence: cross-entropy or squared error over the examples; scored by
 * {@link ClassificationMetrics} or {@link RegressionMetrics}. Where the adapter trains the head alone, the encoder's
 * features of an example never change: they are computed once and kept as long as this object, hidden_size numbers for
 * each. Threads may ask for logits and scores at the same time, each with its own execution, while none trains.
 */
public final class SequenceObjective implements Objective<SequenceExample> {
    private final SequenceModel model;
    private final Map<SequenceExample, float[]> features = Collections.synchronizedMap(new IdentityHashMap<>());

    /**
     * @param model with an adapter attached
     * @throws IllegalArgumentException if none is
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
    public long counted(List<SequenceExample> batch) {
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
     * Logits, or for regression the predicted values, without dropout: [examples, numLabels] in the order of the
     * examples, which need no targets.
     *
     * @param examples at least one
     * @param batchSize examples that are run at a time; those of similar length are, whatever their order
     * @param scored told after every batch how many examples have been run
     */
    public float[] logits(Execution execution, List<SequenceExample> examples, int batchSize, IntConsumer scored) {
        int outputs = model.config().numLabels();
        int[] longestFirst = IntStream.range(0, examples.size()).boxed()
                .sorted(Comparator.comparingInt(i -> -examples.get(i).length())).mapToInt(i -> i).toArray();
        float[] logits = new float[Math.multiplyExact(examples.size(), outputs)];
        for (int start = 0; start < longestFirst.length; start += batchSize) {
            int[] indices = Arrays.copyOfRange(longestFirst, start, Math.min(longestFirst.length, start + batchSize));
            List<SequenceExample> batch = Arrays.stream(indices).mapToObj(examples::get).toList();
            float[] found = isFrozen() ? model.logitsOf(execution, features(execution, batch))
                    : model.logits(execution, tokens(batch));
            for (int row = 0; row < indices.length; row++) {
                System.arraycopy(found, row * outputs, logits, indices[row] * outputs, outputs);
            }
            scored.accept(start + indices.length);
        }
        return logits;
    }

    /** @throws InputException if an example has no target */
    @Override
    public Map<String, Double> evaluate(Execution execution, List<SequenceExample> examples, int batchSize,
            IntConsumer scored) {
        targets("held-out data", examples); // before the time is spent
        return score(logits(execution, examples, batchSize, scored), examples);
    }

    /**
     * Scores of logits that {@link #logits} gave, as {@link #evaluate} returns them.
     *
     * @throws InputException if an example has no target
     */
    public Map<String, Double> score(float[] logits, List<SequenceExample> examples) {
        float[] targets = targets("held-out data", examples);
        return model.config().problemType() == ProblemType.REGRESSION ? scoreValues(logits, targets)
                : scoreClasses(logits, targets, model.config().numLabels());
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

    private static Map<String, Double> scoreValues(float[] logits, float[] targets) {
        double[] predictions = IntStream.range(0, logits.length).mapToDouble(i -> logits[i]).toArray();
        double[] references = IntStream.range(0, targets.length).mapToDouble(i -> targets[i]).toArray();
        double squares = 0;
        for (int i = 0; i < predictions.length; i++) {
            squares += (predictions[i] - references[i]) * (predictions[i] - references[i]);
        }
        Map<String, Double> scores = new LinkedHashMap<>();
        scores.put(EVAL_LOSS, squares / predictions.length);
        scores.putAll(RegressionMetrics.of(predictions, references));
        return scores;
    }

    private static Map<String, Double> scoreClasses(float[] logits, float[] targets, int classes) {
        int[] predictions = new int[targets.length];
        int[] references = new int[targets.length];
        double loss = 0;
        for (int i = 0; i < targets.length; i++) {
            int row = i * classes;
            int largest = 0;
            for (int c = 1; c < classes; c++) {
                largest = logits[row + c] > logits[row + largest] ? c : largest;
            }
            double sum = 0;
            for (int c = 0; c < classes; c++) {
                sum += Math.exp((double) logits[row + c] - logits[row + largest]);
            }
            predictions[i] = largest;
            references[i] = (int) targets[i];
            loss += Math.log(sum) - ((double) logits[row + references[i]] - logits[row + largest]);
        }
        Map<String, Double> scores = new LinkedHashMap<>();
        scores.put(EVAL_LOSS, loss / targets.length);
        scores.putAll(ClassificationMetrics.of(predictions, references, classes));
        return scores;
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
