package io.vblora.eval;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** Expected numbers are worked by hand from scikit-learn's definitions; the counts are beside each case. */
class ClassificationMetricsTest {
    /** A few roundings of numbers below 1. */
    private static final double TOLERANCE = 1e-15;

    private static void assertScores(double accuracy, double f1, double matthews, Map<String, Double> found) {
        assertEquals(List.of("accuracy", "f1", "matthews_correlation"), List.copyOf(found.keySet()));
        assertEquals(accuracy, found.get("accuracy"), TOLERANCE);
        assertEquals(f1, found.get("f1"), TOLERANCE);
        assertEquals(matthews, found.get("matthews_correlation"), TOLERANCE);
    }

    @Test
    void twoClassesAreScoredOnClassOne() {
        // tp 3, fp 1, fn 2, tn 4: F1 = 6 / (6 + 1 + 2); Matthews = (3·4 - 1·2) / sqrt(4·5·5·6).
        int[] predictions = {1, 1, 1, 1, 0, 0, 0, 0, 0, 0};
        int[] references = {1, 1, 1, 0, 1, 1, 0, 0, 0, 0};
        assertScores(0.7, 6.0 / 9, 10 / Math.sqrt(600), ClassificationMetrics.of(predictions, references, 2));
        // The other way round precision and recall change places, which changes none of the three.
        assertScores(0.7, 6.0 / 9, 10 / Math.sqrt(600), ClassificationMetrics.of(references, predictions, 2));
    }

    @Test
    void opposedAnswersHaveCorrelationMinusOne() {
        assertScores(0, 0, -1, ClassificationMetrics.of(new int[] {0, 1, 0}, new int[] {1, 0, 1}, 2));
        assertScores(1, 1, 1, ClassificationMetrics.of(new int[] {1, 0, 1}, new int[] {1, 0, 1}, 2));
    }

    @Test
    void oneAnswerForAllHasNoCorrelation() {
        // All predicted 1, 3 of 4 are: F1 = 6 / (6 + 1). Zero divisions are 0, as in scikit-learn.
        assertScores(0.75, 6.0 / 7, 0, ClassificationMetrics.of(new int[] {1, 1, 1, 1}, new int[] {1, 0, 1, 1}, 2));
        assertScores(1, 0, 0, ClassificationMetrics.of(new int[] {0, 0}, new int[] {0, 0}, 2));
    }

    @Test
    void moreClassesAreAveraged() {
        // Confusion, rows true: {2, 1, 0}, {0, 1, 1}, {1, 0, 2}. F1 of the classes: 4/(3+3), 2/(2+2), 4/(3+3).
        // R_K: right 5, all 8; predicted (3, 2, 3), true (3, 2, 3): (5·8 - 22) / sqrt((64 - 22)(64 - 22)).
        int[] references = {0, 0, 0, 1, 1, 2, 2, 2};
        int[] predictions = {0, 0, 1, 1, 2, 2, 2, 0};
        assertScores(5.0 / 8, (4.0 / 6 + 2.0 / 4 + 4.0 / 6) / 3, 18.0 / 42,
                ClassificationMetrics.of(predictions, references, 3));
    }

    @Test
    void classesThatNeverOccurAreLeftOutOfTheMean() {
        // Class 3 occurs in neither; class 1 is predicted once and never true: its F1 is 0. Class 0: 2/(2+1), 2: 1.
        // R_K: right 2, all 3; predicted (1, 1, 1), true (2, 0, 1): (6 - 3) / sqrt((9 - 3)(9 - 5)).
        assertScores(2.0 / 3, (2.0 / 3 + 0 + 1) / 3, 3 / Math.sqrt(24),
                ClassificationMetrics.of(new int[] {0, 1, 2}, new int[] {0, 0, 2}, 4));
    }

    @Test
    void refusesWhatCannotBeScored() {
        assertThrows(IllegalArgumentException.class, () -> ClassificationMetrics.of(new int[0], new int[0], 2));
        assertThrows(IllegalArgumentException.class, () -> ClassificationMetrics.of(new int[1], new int[2], 2));
        assertThrows(IllegalArgumentException.class, () -> ClassificationMetrics.of(new int[] {2}, new int[1], 2));
        assertThrows(IllegalArgumentException.class, () -> ClassificationMetrics.of(new int[1], new int[] {-1}, 2));
    }

    /** Of a million classes a table of true by predicted ones would take terabytes. */
    @Test
    void scoresVeryManyClasses() {
        int[] all = IntStream.range(0, 1_000_000).toArray();
        assertScores(1, 1, 1, ClassificationMetrics.of(all, all, 1_000_000));
        int[] next = IntStream.range(1, 1_000_001).map(i -> i % 1_000_000).toArray();
        assertScores(0, 0, -1.0 / 999_999, ClassificationMetrics.of(next, all, 1_000_000));
    }
}
