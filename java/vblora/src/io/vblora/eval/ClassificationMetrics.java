package io.vblora.eval;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Scores of predicted classes, as scikit-learn defines them: {@code accuracy}, {@code f1} and
 * {@code matthews_correlation}. Classes are numbered from 0.
 */
public final class ClassificationMetrics {
    private ClassificationMetrics() {}

    /**
     * All scores by name.
     *
     * @param predictions predicted classes, [examples]
     * @param references true classes, [examples]
     * @param numLabels classes of the task
     * @throws IllegalArgumentException if the arrays differ in length or are empty, or a class is not one of the task's
     */
    public static Map<String, Double> of(int[] predictions, int[] references, int numLabels) {
        long[][] confusion = confusion(predictions, references, numLabels);
        Map<String, Double> scores = new LinkedHashMap<>();
        scores.put("accuracy", accuracy(confusion));
        scores.put("f1", f1(confusion));
        scores.put("matthews_correlation", matthewsCorrelation(confusion));
        return scores;
    }

    /** Examples by true class (row) and predicted class (column). */
    private static long[][] confusion(int[] predictions, int[] references, int numLabels) {
        if (predictions.length != references.length || predictions.length == 0) {
            throw new IllegalArgumentException(predictions.length + " predictions cannot be scored on "
                    + references.length + " references");
        }
        long[][] confusion = new long[numLabels][numLabels];
        for (int i = 0; i < predictions.length; i++) {
            int most = Math.max(predictions[i], references[i]);
            if (Math.min(predictions[i], references[i]) < 0 || most >= numLabels) {
                throw new IllegalArgumentException("Example " + i + " has prediction " + predictions[i]
                        + " and reference " + references[i] + " in a task of " + numLabels + " classes");
            }
            confusion[references[i]][predictions[i]]++;
        }
        return confusion;
    }

    private static double accuracy(long[][] confusion) {
        long right = 0;
        long all = 0;
        for (int c = 0; c < confusion.length; c++) {
            right += confusion[c][c];
            all += row(confusion, c);
        }
        return (double) right / all;
    }

    /**
     * With two classes the F1 of class 1, as GLUE scores MRPC; with more, the mean over the classes that occur (macro).
     */
    private static double f1(long[][] confusion) {
        if (confusion.length == 2) {
            return row(confusion, 1) + column(confusion, 1) == 0 ? 0 : f1(confusion, 1);
        }
        double sum = 0;
        int occurring = 0;
        for (int c = 0; c < confusion.length; c++) {
            if (row(confusion, c) + column(confusion, c) > 0) {
                sum += f1(confusion, c);
                occurring++;
            }
        }
        return sum / occurring;
    }

    private static double f1(long[][] confusion, int c) {
        return 2.0 * confusion[c][c] / (row(confusion, c) + column(confusion, c));
    }

    /**
     * Gorodkin's R_K, which is Matthews' phi for two classes; 0 if all predictions or all references are the same
     * class.
     */
    private static double matthewsCorrelation(long[][] confusion) {
        double right = 0;
        double all = 0;
        double chance = 0;
        double predictedSquares = 0;
        double trueSquares = 0;
        for (int c = 0; c < confusion.length; c++) {
            double predicted = column(confusion, c);
            double occurs = row(confusion, c);
            right += confusion[c][c];
            all += occurs;
            chance += predicted * occurs;
            predictedSquares += predicted * predicted;
            trueSquares += occurs * occurs;
        }
        double spread = (all * all - predictedSquares) * (all * all - trueSquares);
        return spread == 0 ? 0 : (right * all - chance) / Math.sqrt(spread);
    }

    private static long row(long[][] confusion, int c) {
        long sum = 0;
        for (long n : confusion[c]) {
            sum += n;
        }
        return sum;
    }

    private static long column(long[][] confusion, int c) {
        long sum = 0;
        for (long[] row : confusion) {
            sum += row[c];
        }
        return sum;
    }
}
