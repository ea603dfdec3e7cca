package io.vblora.eval;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Expected numbers are worked by hand from SciPy's definitions. */
class RegressionMetricsTest {
    /** A few roundings of numbers below 1. */
    private static final double TOLERANCE = 1e-15;

    private static void assertScores(double pearson, double spearman, Map<String, Double> found) {
        assertEquals(List.of("pearson", "spearmanr"), List.copyOf(found.keySet()));
        assertEquals(pearson, found.get("pearson"), TOLERANCE);
        assertEquals(spearman, found.get("spearmanr"), TOLERANCE);
    }

    @Test
    void valuesAndRanks() {
        // Less the means 2.5 and 5: (-1.5, -0.5, 0.5, 1.5) and (-4, -3, -1, 8); products 6 + 1.5 - 0.5 + 12;
        // squares 5 and 90. The ranks agree.
        assertScores(19 / Math.sqrt(5 * 90), 1,
                RegressionMetrics.of(new double[] {1, 2, 3, 4}, new double[] {1, 2, 4, 13}));
        // Values that are their ranks: 1 - 6 Σd² / (n³ - n) = 1 - 6·4/60.
        assertScores(0.6, 0.6, RegressionMetrics.of(new double[] {1, 2, 3, 4}, new double[] {2, 1, 4, 3}));
    }

    @Test
    void equalValuesShareTheMeanOfTheirRanks() {
        // Ranks (1.5, 1.5, 3, 4) and (4, 3, 2, 1), mean 2.5: differences (-1, -1, 0.5, 1.5) and (1.5, 0.5, -0.5, -1.5),
        // products -1.5 - 0.5 - 0.25 - 2.25, squares 4.5 and 5. Values: (-2, -2, 0, 4) and (3, 1, -1, -3) about 7 and
        // 5, products -6 - 2 - 0 - 12, squares 24 and 20.
        assertScores(-20 / Math.sqrt(24 * 20), -4.5 / Math.sqrt(4.5 * 5),
                RegressionMetrics.of(new double[] {5, 5, 7, 11}, new double[] {8, 6, 4, 2}));
        // Two groups on either side: ranks (1.5, 1.5, 3.5, 3.5) and (1.5, 3.5, 1.5, 3.5) have nothing in common.
        assertScores(0, 0, RegressionMetrics.of(new double[] {0, 0, 1, 1}, new double[] {0, 1, 0, 1}));
    }

    @Test
    void oneValueForAllHasNoCorrelation() {
        // The mean of three 0.1 is not 0.1 in binary.
        assertScores(Double.NaN, Double.NaN, RegressionMetrics.of(new double[] {0.1, 0.1, 0.1},
                new double[] {1, 2, 3}));
        assertScores(Double.NaN, Double.NaN, RegressionMetrics.of(new double[] {1, 2, 3},
                new double[] {0.1, 0.1, 0.1}));
    }

    /** As SciPy's: a NaN has no rank. */
    @Test
    void aPredictionThatIsNotANumberHasNoCorrelation() {
        assertScores(Double.NaN, Double.NaN, RegressionMetrics.of(new double[] {1, Double.NaN, 3},
                new double[] {1, 2, 3}));
    }

    @Test
    void shiftAndScaleDoNotMatter() {
        double[] values = {0.3, -1.7, 2.9, 0.1};
        double[] moved = {1e6 + 0.3, 1e6 - 1.7, 1e6 + 2.9, 1e6 + 0.1};
        Map<String, Double> scores = RegressionMetrics.of(values, moved);
        // Adding 1e6 rounds by up to 6e-11, against differences of about 1.
        assertEquals(1, scores.get("pearson"), 1e-10);
        assertEquals(1, scores.get("spearmanr"), TOLERANCE);
    }

    @Test
    void refusesWhatCannotBeScored() {
        assertThrows(IllegalArgumentException.class, () -> RegressionMetrics.of(new double[0], new double[0]));
        assertThrows(IllegalArgumentException.class, () -> RegressionMetrics.of(new double[1], new double[2]));
    }
}
