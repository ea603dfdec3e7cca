package io.vblora.cli;

import io.vblora.PrintableText;
import io.vblora.model.ProblemType;
import io.vblora.model.SequenceConfig;
import io.vblora.weights.AtomicFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/**
 * What a model with a head predicts for examples.
 *
 * @param logits [examples, numLabels]
 */
record Predictions(SequenceConfig config, float[] logits) {
    /** Index of an example's most probable class; if several are, the first of them. */
    int label(int example) {
        int classes = config.numLabels();
        int best = 0;
        for (int c = 1; c < classes; c++) {
            best = logits[example * classes + c] > logits[example * classes + best] ? c : best;
        }
        return best;
    }

    /** Softmax of an example's logits. */
    double[] probabilities(int example) {
        int classes = config.numLabels();
        double largest = logits[example * classes + label(example)];
        double[] probabilities = new double[classes];
        double sum = 0;
        for (int c = 0; c < classes; c++) {
            probabilities[c] = Math.exp(logits[example * classes + c] - largest);
            sum += probabilities[c];
        }
        for (int c = 0; c < classes; c++) {
            probabilities[c] /= sum;
        }
        return probabilities;
    }

    /**
     * Writes fields between tabs under a header: "label" and a column for each label's probability, or "value". A row
     * of the data that gave no example has an empty label and NaN everywhere, so that lines correspond to rows.
     *
     * @param skipped indices of those rows, in order
     * @throws java.io.UncheckedIOException if the file cannot be written
     */
    void write(Path file, List<Integer> skipped) {
        StringBuilder text = new StringBuilder();
        boolean regression = config.problemType() == ProblemType.REGRESSION;
        // A label may come from JSON, where it can hold tabs and line ends.
        List<String> labels = config.labels().stream().map(PrintableText::of).toList();
        text.append(regression ? "value" : "label\t" + String.join("\t", labels)).append('\n');
        int rows = logits.length / config.numLabels() + skipped.size();
        Set<Integer> without = new HashSet<>(skipped);
        int example = 0;
        for (int row = 0; row < rows; row++) {
            if (without.contains(row)) {
                text.append(regression ? "NaN" : "\tNaN".repeat(labels.size()));
            } else if (regression) {
                text.append(logits[example++]);
            } else {
                text.append(labels.get(label(example)));
                for (double probability : probabilities(example++)) {
                    text.append(String.format(Locale.ROOT, "\t%.6f", probability));
                }
            }
            text.append('\n');
        }
        AtomicFile.write(file, text.toString().getBytes(StandardCharsets.UTF_8));
    }
}
