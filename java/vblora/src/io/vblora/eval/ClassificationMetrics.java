package io.vblora.eval;

import java.util.Arrays;
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
        Counts counts = Counts.of(predictions, references, numLabels);
        Map<String, Double> scores = new LinkedHashMap<>();
        scores.put("accuracy", counts.accuracy());
        scores.put("f1", counts.f1());
        scores.put("matthews_correlation", counts.matthewsCorrelation());
        return scores;
    }

    /**
     * Examples by class.
     *
     * @param right of the class, and predicted to be
     * @param occurring of the class
     * @param predicted predicted to be of the class
     */
    private record Counts(long[] right, long[] occurring, long[] predicted) {

        static Counts of(int[] predictions, int[] references, int numLabels) {
            if (predictions.length != references.length || predictions.length == 0) {
                throw new IllegalArgumentException(predictions.length + " predictions cannot be scored on "
                        + references.length + " references");
            }
            Counts counts = new Counts(new long[numLabels], new long[numLabels], new long[numLabels]);
            for (int i = 0; i < predictions.length; i++) {
                int most = Math.max(predictions[i], references[i]);
                if (Math.min(predictions[i], references[i]) < 0 || most >= numLabels) {
                    throw new IllegalArgumentException("Example " + i + " has prediction " + predictions[i]
                            + " and reference " + references[i] + " in a task of " + numLabels + " classes");
                }
                counts.occurring[references[i]]++;
                counts.predicted[predictions[i]]++;
                counts.right[references[i]] += predictions[i] == references[i] ? 1 : 0;
            }
            return counts;
        }

        double accuracy() {
            return (double) Arrays.stream(right).sum() / Arrays.stream(occurring).sum();
        }

        /**
         * With two classes the F1 of class 1, as GLUE scores MRPC; with more, the mean over the classes that occur
         * (macro).
         */
        double f1() {
            if (right.length == 2) {
                return occurring[1] + predicted[1] == 0 ? 0 : f1(1);
            }
            double sum = 0;
            int found = 0;
            for (int c = 0; c < right.length; c++) {
                if (occurring[c] + predicted[c] > 0) {
                    sum += f1(c);
                    found++;
                }
            }
            return sum / found;
        }

        private double f1(int c) {
            return 2.0 * right[c] / (occurring[c] + predicted[c]);
        }

        /**
         * Gorodkin's R_K, which is Matthews' phi for two classes; 0 if all predictions or all references are the same
         * class.
         */
        double matthewsCorrelation() {
            double hits = 0;
            double all = 0;
            double chance = 0;
            double predictedSquares = 0;
            double trueSquares = 0;
            for (int c = 0; c < right.length; c++) {
                hits += right[c];
                all += occurring[c];
                chance += (double) predicted[c] * occurring[c];
                predictedSquares += (double) predicted[c] * predicted[c];
                trueSquares += (double) occurring[c] * occurring[c];
            }
            double spread = (all * all - predictedSquares) * (all * all - trueSquares);
            return spread == 0 ? 0 : (hits * all - chance) / Math.sqrt(spread);
        }
    }
}
