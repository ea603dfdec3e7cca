package io.vblora.eval;

import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * Scores of predicted values, as SciPy defines them: {@code pearson} and {@code spearmanr}, the correlation of values
 * and of ranks, where equal values share the mean of their ranks. Both are NaN if all predictions or all references are
 * the same value, or if one of them is NaN.
 */
public final class RegressionMetrics {
    private RegressionMetrics() {}

    /**
     * All scores by name.
     *
     * @param predictions predicted values, [examples]
     * @param references true values, [examples]
     * @throws IllegalArgumentException if the arrays differ in length or are empty
     */
    public static Map<String, Double> of(double[] predictions, double[] references) {
        if (predictions.length != references.length || predictions.length == 0) {
            throw new IllegalArgumentException(predictions.length + " predictions cannot be scored on "
                    + references.length + " references");
        }
        Map<String, Double> scores = new LinkedHashMap<>();
        scores.put("pearson", correlation(predictions, references));
        scores.put("spearmanr", correlation(ranks(predictions), ranks(references)));
        return scores;
    }

    private static double correlation(double[] x, double[] y) {
        if (Arrays.stream(x).allMatch(v -> v == x[0]) || Arrays.stream(y).allMatch(v -> v == y[0])) {
            return Double.NaN; // the rounded mean would make them seem to vary
        }
        double meanX = Arrays.stream(x).sum() / x.length;
        double meanY = Arrays.stream(y).sum() / y.length;
        double xx = 0;
        double yy = 0;
        double xy = 0;
        for (int i = 0; i < x.length; i++) {
            double dx = x[i] - meanX;
            double dy = y[i] - meanY;
            xx += dx * dx;
            yy += dy * dy;
            xy += dx * dy;
        }
        return Math.max(-1, Math.min(1, xy / (Math.sqrt(xx) * Math.sqrt(yy))));
    }

    private static double[] ranks(double[] values) {
        if (Arrays.stream(values).anyMatch(Double::isNaN)) {
            return values; // a NaN has no place in an order, and everything computed from it is NaN
        }
        int[] order = IntStream.range(0, values.length).boxed().sorted(Comparator.comparingDouble(i -> values[i]))
                .mapToInt(i -> i).toArray();
        double[] ranks = new double[values.length];
        for (int from = 0; from < order.length;) {
            int to = from + 1;
            while (to < order.length && values[order[to]] == values[order[from]]) {
                to++;
            }
            for (int i = from; i < to; i++) {
                ranks[order[i]] = (from + 1 + to) / 2.0;
            }
            from = to;
        }
        return ranks;
    }
}
