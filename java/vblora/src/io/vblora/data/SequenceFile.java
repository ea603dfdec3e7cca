package io.vblora.data;

import io.vblora.InputException;
import io.vblora.PrintableText;
import io.vblora.model.config.BertConfig;
import java.math.BigInteger;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * The examples of a file for classification or regression of texts or pairs of texts, tokenized.
 *
 * <p>In data with labels, a text must not be blank, and of a pair only one text may be. Space around a label is
 * ignored; a label must not be blank. Where no label column is named, the targets are NaN, and a blank text is treated
 * like any other; a row that has no text (null in JSON, or one without tokens) is skipped.
 *
 * @param examples in the order of the file
 * @param labels the classes by index; empty for regression and data without labels
 * @param truncated how many examples were cut
 * @param skipped the rows that gave no example: their indices, from 0, in order
 */
public record SequenceFile(List<SequenceExample> examples, List<String> labels, int truncated,
        List<Integer> skipped) {
    private static final String INTEGER = "[+-]?[0-9]{1,100}";
    private static final String NUMBER = "[+-]?([0-9]++(\\.[0-9]*+)?|\\.[0-9]+)([eE][+-]?[0-9]+)?";

    /**
     * Reads data for classification as {@link #readClassification(Path, TableFormat, SequenceColumns, Tokenizer, int,
     * Overlong, BertConfig, List, ReadingListener)} does, without reporting progress.
     */
    public static SequenceFile readClassification(Path file, TableFormat format, SequenceColumns columns,
            Tokenizer tokenizer, int maxSeqLength, Overlong overlong, BertConfig encoder, List<String> labels) {
        return readClassification(file, format, columns, tokenizer, maxSeqLength, overlong, encoder, labels,
                ReadingListener.NONE);
    }

    /**
     * Reads data for classification.
     *
     * @param tokenizer the caller closes it
     * @param maxSeqLength the most tokens that an example has
     * @param overlong what becomes of longer examples
     * @param encoder its vocabulary must have the tokens, and it must have enough token types; where it has only one
     *     type (RoBERTa), all tokens are of that type
     * @param labels the classes by index, and the file may have no others; null to take those of the file, sorted by
     *     number if all are integers, otherwise by text
     * @param listener is told of the progress
     * @throws InputException if a row cannot be used, naming the file and the row; or if no example is left of data
     *     with labels
     * @throws java.io.UncheckedIOException if the file cannot be read
     */
    public static SequenceFile readClassification(Path file, TableFormat format, SequenceColumns columns,
            Tokenizer tokenizer, int maxSeqLength, Overlong overlong, BertConfig encoder, List<String> labels,
            ReadingListener listener) {
        Rows rows = new Rows(file, format, columns, listener);
        if (columns.label() == null) {
            return rows.tokenize(tokenizer, maxSeqLength, overlong, encoder, List.of(), row -> Float.NaN);
        }
        List<String> classes = labels == null ? rows.sortedLabels() : List.copyOf(labels);
        Map<String, Integer> indices = new HashMap<>();
        classes.forEach(label -> indices.put(label, indices.size()));
        return rows.tokenize(tokenizer, maxSeqLength, overlong, encoder, classes, row -> {
            String label = rows.label(row);
            if (!indices.containsKey(label)) {
                throw rows.refuse(row, columns.label(), PrintableText.quoted(label),
                        "one of the labels of the training data, " + PrintableText.list(classes));
            }
            return indices.get(label);
        });
    }

    /**
     * Reads data for regression as {@link #readRegression(Path, TableFormat, SequenceColumns, Tokenizer, int, Overlong,
     * BertConfig, ReadingListener)} does, without reporting progress.
     */
    public static SequenceFile readRegression(Path file, TableFormat format, SequenceColumns columns,
            Tokenizer tokenizer, int maxSeqLength, Overlong overlong, BertConfig encoder) {
        return readRegression(file, format, columns, tokenizer, maxSeqLength, overlong, encoder, ReadingListener.NONE);
    }

    /**
     * Reads data for regression, in which labels are finite decimal numbers. Otherwise this does what {@link
     * #readClassification(Path, TableFormat, SequenceColumns, Tokenizer, int, Overlong, BertConfig, List,
     * ReadingListener)} does.
     */
    public static SequenceFile readRegression(Path file, TableFormat format, SequenceColumns columns,
            Tokenizer tokenizer, int maxSeqLength, Overlong overlong, BertConfig encoder, ReadingListener listener) {
        Rows rows = new Rows(file, format, columns, listener);
        return rows.tokenize(tokenizer, maxSeqLength, overlong, encoder, List.of(), row -> {
            if (columns.label() == null) {
                return Float.NaN;
            }
            String label = rows.label(row);
            float value = label.matches(NUMBER) ? Float.parseFloat(label) : Float.NaN;
            if (!Float.isFinite(value)) {
                throw rows.refuse(row, columns.label(), PrintableText.quoted(label), "a finite number");
            }
            return value;
        });
    }

    /** Tokens of all examples. */
    public long tokens() {
        return examples.stream().mapToLong(SequenceExample::length).sum();
    }

    /** Describes in a line what was read. */
    public String summary() {
        return String.format(Locale.ROOT, "%,d examples%s, %,d tokens, longest %,d%s%s", examples.size(),
                labels.isEmpty() ? "" : String.format(Locale.ROOT, " of %,d classes", labels.size()), tokens(),
                examples.stream().mapToInt(SequenceExample::length).max().orElse(0),
                truncated == 0 ? "" : String.format(Locale.ROOT, ", %,d cut", truncated),
                skipped.isEmpty() ? "" : String.format(Locale.ROOT, ", %,d skipped", skipped.size()));
    }

    @FunctionalInterface
    private interface Targets {
        float of(TableFile.Row row);
    }

    /** The rows of one file. */
    private static final class Rows {
        private final Path file;
        private final SequenceColumns columns;
        private final ReadingListener listener;
        private final List<TableFile.Row> rows;

        Rows(Path file, TableFormat format, SequenceColumns columns, ReadingListener listener) {
            this.file = file;
            this.columns = columns;
            this.listener = listener;
            this.rows = TableFile.read(file, format, columns.names(), listener);
        }

        String label(TableFile.Row row) {
            String label = row.values().get(row.values().size() - 1);
            if (label == null || label.isBlank()) {
                throw refuse(row, columns.label(), "no label", "one");
            }
            return label.strip();
        }

        List<String> sortedLabels() {
            List<String> labels = rows.stream().map(this::label).distinct().collect(Collectors.toList());
            Comparator<String> order = labels.stream().allMatch(label -> label.matches(INTEGER))
                    ? Comparator.comparing((String label) -> new BigInteger(label)).thenComparing(label -> label)
                    : Comparator.naturalOrder();
            labels.sort(order);
            if (labels.size() < 2) {
                throw new InputException(file, columns.label(), "only the label " + PrintableText.quoted(labels.get(0)),
                        "at least two different labels");
            }
            return Collections.unmodifiableList(labels);
        }

        SequenceFile tokenize(Tokenizer tokenizer, int maxSeqLength, Overlong overlong, BertConfig encoder,
                List<String> labels, Targets targets) {
            checkTexts();
            float[] target = new float[rows.size()];
            for (int i = 0; i < target.length; i++) {
                target[i] = targets.of(rows.get(i));
            }
            List<Tokenizer.Encoding> encodings = ParallelRows.map(rows,
                    row -> encode(tokenizer, row, maxSeqLength), listener);
            List<SequenceExample> examples = new ArrayList<>(target.length);
            List<Integer> skipped = new ArrayList<>();
            int truncated = 0;
            for (int i = 0; i < target.length; i++) {
                Tokenizer.Encoding encoding = encodings.get(i);
                if (isSkipped(i, encoding, maxSeqLength, overlong)) {
                    skipped.add(i);
                    continue;
                }
                int[] types = encoder.embeddings().typeVocabSize() == 1 ? new int[encoding.inputIds().length]
                        : encoding.tokenTypeIds();
                check(rows.get(i), "id", encoding.inputIds(), encoder.embeddings().vocabSize());
                check(rows.get(i), "type", types, encoder.embeddings().typeVocabSize());
                truncated += encoding.truncated() ? 1 : 0;
                examples.add(new SequenceExample(encoding.inputIds(), types, target[i]));
            }
            if (examples.isEmpty() && isLabelled()) {
                throw new InputException(file, "", "no example that fits into " + maxSeqLength + " tokens",
                        "at least one");
            }
            return new SequenceFile(Collections.unmodifiableList(examples), labels, truncated,
                    Collections.unmodifiableList(skipped));
        }

        /** Whether a row gives no example; its encoding is null if it has no text. */
        private boolean isSkipped(int index, Tokenizer.Encoding encoding, int maxSeqLength, Overlong overlong) {
            TableFile.Row row = rows.get(index);
            boolean empty = encoding == null || encoding.inputIds().length == 0;
            if (empty && isLabelled()) {
                throw refuse(row, "", "a text without tokens", "at least one token");
            }
            boolean tooLong = !empty && encoding.truncated();
            if (tooLong && overlong == Overlong.ERROR) {
                throw refuse(row, "", String.format(Locale.ROOT, "more than %,d tokens in row %,d", maxSeqLength,
                        index + 1), String.format(Locale.ROOT, "at most %,d", maxSeqLength));
            }
            return empty || tooLong && overlong == Overlong.SKIP;
        }

        private boolean isLabelled() {
            return columns.label() != null;
        }

        /**
         * Refuses rows from which nothing can be learnt and, in data without labels, columns that no row has: rows of
         * JSON may lack them.
         */
        private void checkTexts() {
            if (isLabelled()) {
                rows.forEach(this::checkTexts);
                return;
            }
            for (int column = 0; column < columns.names().size(); column++) {
                int index = column;
                if (rows.stream().allMatch(row -> row.values().get(index) == null)) {
                    throw refuse(rows.get(0), columns.names().get(column), "nothing", "a text");
                }
            }
        }

        private void checkTexts(TableFile.Row row) {
            boolean blank = isBlank(row, 0, columns.text());
            boolean pair = columns.textPair() != null;
            if (blank && (!pair || isBlank(row, 1, columns.textPair()))) {
                throw refuse(row, columns.text(), "a blank text",
                        pair ? "a text, here or in " + columns.textPair() : "a text");
            }
        }

        private boolean isBlank(TableFile.Row row, int column, String name) {
            String text = row.values().get(column);
            if (text == null) {
                throw refuse(row, name, "nothing", "a text");
            }
            return text.isBlank();
        }

        /** Null if the row has no text. */
        private Tokenizer.Encoding encode(Tokenizer tokenizer, TableFile.Row row, int maxSeqLength) {
            if (row.values().contains(null)) {
                return null;
            }
            try {
                return tokenizer.encode(row.values().get(0), columns.textPair() == null ? null : row.values().get(1),
                        maxSeqLength);
            } catch (InputException e) {
                throw new InputException(where(row), e.source(), e.found(), e.expected(), e);
            }
        }

        /** Refuses a token whose id or type the model does not have. */
        private void check(TableFile.Row row, String what, int[] values, int size) {
            for (int value : values) {
                if (value >= size) {
                    throw refuse(row, "", "a text whose tokens have " + what + " " + value,
                            "a tokenizer of the model, which has " + size + " token " + what + "s");
                }
            }
        }

        private String where(TableFile.Row row) {
            return file + ", line " + row.line();
        }

        InputException refuse(TableFile.Row row, String field, String found, String expected) {
            return new InputException(where(row), field, found, expected);
        }
    }
}
