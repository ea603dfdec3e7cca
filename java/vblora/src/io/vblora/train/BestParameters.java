package io.vblora.train;

import io.vblora.InputException;
import io.vblora.kernels.Stream;
import io.vblora.parameters.NamedTensors;
import io.vblora.parameters.Trainable;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Remembers which evaluation of a run was the best and, if asked to, the parameters that it scored. */
final class BestParameters implements AutoCloseable {
    private final String metric;
    private final boolean keep;
    private final List<Trainable> trainables;
    private final Stream stream;
    /** Copies of the parameters of each trainable. */
    private final List<NamedTensors> kept = new ArrayList<>();
    private Map<String, Double> metrics;
    private long step = -1;
    private int evaluationsSince;

    /**
     * @param metric the score that decides: less is better if its name ends in "loss", otherwise more is
     * @param keep whether to keep the best parameters
     */
    BestParameters(String metric, boolean keep, List<Trainable> trainables, Stream stream) {
        this.metric = metric;
        this.keep = keep;
        this.trainables = trainables;
        this.stream = stream;
    }

    /**
     * Takes scores of the present parameters and returns whether they are the best so far. Of equal scores the first is
     * the best, and a score that is not a number is never better than another.
     *
     * @throws InputException if the metric is not among the scores
     */
    boolean offer(long atStep, Map<String, Double> found) {
        if (!found.containsKey(metric)) {
            throw new InputException("training arguments", "metric_for_best_model", metric, "one of "
                    + String.join(", ", found.keySet()));
        }
        if (metrics != null && !isBetter(found.get(metric), metrics.get(metric))) {
            evaluationsSince++;
            return false;
        }
        step = atStep;
        metrics = found;
        evaluationsSince = 0;
        if (keep) {
            keepParameters();
        }
        return true;
    }

    private boolean isBetter(double score, double best) {
        if (Double.isNaN(best) || Double.isNaN(score)) {
            return !Double.isNaN(score);
        }
        return metric.endsWith("loss") ? score < best : score > best;
    }

    private void keepParameters() {
        close();
        for (Trainable trainable : trainables) {
            try (NamedTensors parameters = trainable.parameters(stream)) {
                kept.add(parameters.copy());
            }
        }
    }

    /** Sets the parameters to those of the best evaluation. */
    void restore() {
        for (int i = 0; i < kept.size(); i++) {
            trainables.get(i).loadParameters(stream, kept.get(i).asMap());
        }
    }

    /** The number of steps before the best evaluation; -1 if there was none. */
    long step() {
        return step;
    }

    /** The scores of the best evaluation; null if there was none. */
    Map<String, Double> metrics() {
        return metrics;
    }

    /** The number of evaluations after the best one. */
    int evaluationsSince() {
        return evaluationsSince;
    }

    @Override
    public void close() {
        kept.forEach(NamedTensors::close);
        kept.clear();
    }
}
