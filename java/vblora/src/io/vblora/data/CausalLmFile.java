package io.vblora.data;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import io.vblora.InputException;
import io.vblora.JsonFields;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.OptionalInt;
import java.util.function.Supplier;

/**
 * The examples of a file for causal language modelling. The file is UTF-8 (a byte order mark is skipped), its lines end
 * in LF, CRLF or CR, and blank lines are skipped. {@link #read} takes either
 * <ul>
 * <li>text, with a document on each line, or
 * <li>JSON Lines, with an object on each line, if the file's name ends in {@code .jsonl} or {@code .json} or if its
 * first line that is not blank begins with a brace. A row has either {@code text}, or {@code input_ids} with optional
 * {@code labels} of the same length, where -100 is left out of the loss; an {@code attention_mask} must be all ones.
 * Other fields are ignored.
 * </ul>
 * The tokenizer's end-of-sequence token, if it has one, is appended to text whose encoding does not already end in it.
 * Labels are the input ids where none are given. {@link Overlong} says what becomes of examples longer than {@code
 * maxSeqLength} tokens.
 *
 * @param examples in the order of the file
 * @param truncated how many of them were cut
 * @param skipped the rows that were too long and gave no example: their indices, from 0, in order
 */
public record CausalLmFile(List<CausalLmExample> examples, int truncated, List<Integer> skipped) {
    /**
     * Reads a file as {@link #read(Path, Supplier, int, Overlong, int, ReadingListener)} does, without reporting
     * progress.
     */
    public static CausalLmFile read(Path file, Supplier<Tokenizer> tokenizer, int maxSeqLength, Overlong overlong,
            int vocabSize) {
        return read(file, tokenizer, maxSeqLength, overlong, vocabSize, ReadingListener.NONE);
    }

    /**
     * Reads and checks a whole file.
     *
     * @param tokenizer asked once, at the first text; data that is already tokenised needs none. It may be null, or
     *     give null, if there is no tokenizer. The caller closes it
     * @param maxSeqLength the most tokens that an example has, at least 2
     * @param overlong what becomes of longer examples
     * @param vocabSize token ids lie in [0, vocabSize)
     * @param listener is told of the progress
     * @throws InputException if a line cannot be used, naming the file and the line; or if no example is left
     * @throws UncheckedIOException if the file cannot be read
     */
    public static CausalLmFile read(Path file, Supplier<Tokenizer> tokenizer, int maxSeqLength, Overlong overlong,
            int vocabSize, ReadingListener listener) {
        Reader reader = new Reader(file, tokenizer, maxSeqLength, overlong, vocabSize, listener);
        reader.readLines();
        return reader.finish();
    }

    /**
     * Reads a file as {@link #readPrompts(Path, TableFormat, PromptTemplate, String, Supplier, int, Overlong, int,
     * ReadingListener)} does, without reporting progress.
     */
    public static CausalLmFile readPrompts(Path file, TableFormat format, PromptTemplate prompt, String responseColumn,
            Supplier<Tokenizer> tokenizer, int maxSeqLength, Overlong overlong, int vocabSize) {
        return readPrompts(file, format, prompt, responseColumn, tokenizer, maxSeqLength, overlong, vocabSize,
                ReadingListener.NONE);
    }

    /**
     * Reads rows of prompt and response. The response follows the prompt as it is, and the tokenizer's end-of-sequence
     * token, if it has one, follows the response; only these two count in the loss. A token that holds the end of the
     * prompt and the beginning of the response belongs to the response. Otherwise this does what {@link #read(Path,
     * Supplier, int, Overlong, int, ReadingListener)} does.
     *
     * @param prompt made from columns of a row
     * @param responseColumn the column of the response, which must not be blank
     * @throws InputException if a row cannot be used; it names file and line
     */
    public static CausalLmFile readPrompts(Path file, TableFormat format, PromptTemplate prompt, String responseColumn,
            Supplier<Tokenizer> tokenizer, int maxSeqLength, Overlong overlong, int vocabSize,
            ReadingListener listener) {
        List<String> columns = new ArrayList<>(prompt.columns());
        if (columns.contains(responseColumn)) {
            throw new InputException(prompt.toString(), responseColumn, "the response in the prompt",
                    "columns other than the response's");
        }
        columns.add(responseColumn);
        Reader reader = new Reader(file, tokenizer, maxSeqLength, overlong, vocabSize, listener);
        for (TableFile.Row row : TableFile.read(file, format, columns, listener)) {
            reader.addPrompt(row.line(), prompt, columns, row.values());
        }
        return reader.finish();
    }

    /** Tokens of all examples. */
    public long tokens() {
        return examples.stream().mapToLong(CausalLmExample::length).sum();
    }

    /** Describes in a line what was read. */
    public String summary() {
        return String.format(Locale.ROOT, "%,d examples, %,d tokens, longest %,d%s%s", examples.size(), tokens(),
                examples.stream().mapToInt(CausalLmExample::length).max().orElse(0),
                truncated == 0 ? "" : String.format(Locale.ROOT, ", %,d cut", truncated),
                skipped.isEmpty() ? "" : String.format(Locale.ROOT, ", %,d skipped as too long", skipped.size()));
    }

    /** A row before it is tokenized: either text, with or without a prompt before it, or tokens. */
    private record Row(long line, String prompt, String text, int[] inputIds, int[] labels) {}

    /** Reads one file and lives only while doing so. */
    private static final class Reader {
        private final Path file;
        private final Supplier<Tokenizer> supplier;
        /** What the supplier gave at the first text. */
        private Tokenizer tokenizer;
        private final int maxSeqLength;
        private final Overlong overlong;
        private final int vocabSize;
        private final ReadingListener listener;
        private final List<Row> rows = new ArrayList<>();
        private long line;
        private Boolean isJson;

        Reader(Path file, Supplier<Tokenizer> tokenizer, int maxSeqLength, Overlong overlong, int vocabSize,
                ReadingListener listener) {
            if (maxSeqLength < 2) {
                throw new IllegalArgumentException("Of " + maxSeqLength + " tokens none predicts another");
            }
            this.file = file;
            this.supplier = tokenizer;
            this.maxSeqLength = maxSeqLength;
            this.overlong = overlong;
            this.vocabSize = vocabSize;
            this.listener = listener;
            String name = file.toString().toLowerCase(Locale.ROOT);
            this.isJson = name.endsWith(".jsonl") || name.endsWith(".json") ? Boolean.TRUE : null;
        }

        void readLines() {
            try (Utf8Reader in = new Utf8Reader(file, "text or JSON Lines", listener)) {
                String text = in.readLine();
                for (line = 1; text != null; line++) {
                    readLine(text);
                    text = in.readLine();
                }
            }
        }

        CausalLmFile finish() {
            if (rows.isEmpty()) {
                throw new InputException(file, "", "no line that is not blank", "at least one example");
            }
            List<CausalLmExample> whole = ParallelRows.map(rows, this::tokenize, listener);
            List<CausalLmExample> examples = new ArrayList<>(whole.size());
            List<Integer> skipped = new ArrayList<>();
            int truncated = 0;
            for (int i = 0; i < whole.size(); i++) {
                line = rows.get(i).line();
                CausalLmExample example = fitting(i + 1, whole.get(i));
                if (example == null) {
                    skipped.add(i);
                } else {
                    truncated += example == whole.get(i) ? 0 : 1;
                    examples.add(example);
                }
            }
            if (examples.isEmpty()) {
                throw new InputException(file, "", "no example that fits into " + maxSeqLength + " tokens",
                        "at least one");
            }
            return new CausalLmFile(Collections.unmodifiableList(examples), truncated,
                    Collections.unmodifiableList(skipped));
        }

        /** The example of a row (numbered from 1), whole or cut; null if it is skipped. */
        private CausalLmExample fitting(int row, CausalLmExample whole) {
            if (whole.countedLabels() == 0) {
                throw refuse("labels",
                        "only " + CausalLmExample.IGNORE_INDEX + " in positions 1 to " + (whole.length() - 1),
                        "a label that counts, after the first position", null);
            }
            if (whole.length() <= maxSeqLength) {
                return whole;
            }
            return switch (overlong) {
                case CUT -> {
                    CausalLmExample cut = cut(whole);
                    yield cut.countedLabels() == 0 ? null : cut;
                }
                case SKIP -> null;
                case ERROR -> throw refuse("", String.format(Locale.ROOT, "more than %,d tokens in row %,d",
                        maxSeqLength, row), String.format(Locale.ROOT, "at most %,d", maxSeqLength), null);
            };
        }

        private void readLine(String text) {
            if (text.isBlank()) {
                return;
            }
            if (isJson == null) {
                isJson = text.stripLeading().startsWith("{");
            }
            if (isJson) {
                readRow(text);
            } else {
                addText(text);
            }
        }

        private void readRow(String json) {
            String text = null;
            int[] inputIds = null;
            int[] labels = null;
            int[] attentionMask = null;
            try (JsonParser parser = JsonRows.FACTORY.createParser(json)) {
                if (parser.nextToken() != JsonToken.START_OBJECT) {
                    throw refuse("", JsonRows.name(parser.currentToken()),
                            "a JSON object on each line (JSON Lines)", null);
                }
                while (parser.nextToken() != JsonToken.END_OBJECT) {
                    String field = parser.currentName();
                    parser.nextToken();
                    switch (field) {
                        case "text" -> text = readString(parser);
                        case "input_ids" -> inputIds = readInts(parser, field, 0, vocabSize - 1, false);
                        case "labels" -> labels = readInts(parser, field, 0, vocabSize - 1, true);
                        case "attention_mask" -> attentionMask = readInts(parser, field, 1, 1, false);
                        default -> parser.skipChildren();
                    }
                }
                if (parser.nextToken() != null) {
                    throw refuse("", "more after the object's end", "one JSON object on each line", null);
                }
            } catch (JsonProcessingException e) {
                throw refuse("", "broken JSON (" + JsonFields.problem(e) + ")",
                        "a JSON object on each line", e);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
            addRow(text, inputIds, labels, attentionMask);
        }

        private void addRow(String text, int[] inputIds, int[] labels, int[] attentionMask) {
            if ((text == null) == (inputIds == null)) {
                throw refuse("", text == null ? "neither text nor input_ids" : "both text and input_ids", "one of them",
                        null);
            }
            if (text != null) {
                if (labels != null) {
                    throw refuse("labels", "labels beside text", "labels only beside input_ids", null);
                }
                addText(text);
                return;
            }
            checkLength("labels", labels, inputIds);
            checkLength("attention_mask", attentionMask, inputIds);
            checkLength(line, inputIds);
            rows.add(new Row(line, null, null, inputIds, labels == null ? inputIds : labels));
        }

        private void checkLength(String field, int[] values, int[] inputIds) {
            if (values != null && values.length != inputIds.length) {
                throw refuse(field, values.length + " values", inputIds.length + ", as input_ids has", null);
            }
        }

        private String readString(JsonParser parser) throws IOException {
            if (parser.currentToken() != JsonToken.VALUE_STRING) {
                throw refuse("text", JsonRows.name(parser.currentToken()), "a string", null);
            }
            String text = parser.getText();
            if (!JsonRows.isUnicode(text)) {
                throw refuse("text", "half of a surrogate pair", "valid Unicode", null);
            }
            return text;
        }

        private int[] readInts(JsonParser parser, String field, int least, int most, boolean allowIgnore)
                throws IOException {
            String expected = (least == most ? "only " + least : "integers from " + least + " to " + most)
                    + (allowIgnore ? ", or " + CausalLmExample.IGNORE_INDEX : "");
            if (parser.currentToken() != JsonToken.START_ARRAY) {
                throw refuse(field, JsonRows.name(parser.currentToken()), "an array of " + expected, null);
            }
            int[] values = new int[64];
            int n = 0;
            while (parser.nextToken() != JsonToken.END_ARRAY) {
                String element = field + "[" + n + "]";
                JsonToken token = parser.currentToken();
                if (token != JsonToken.VALUE_NUMBER_INT) {
                    throw refuse(element, token.isNumeric() ? parser.getText() : JsonRows.name(token), expected, null);
                }
                int value = parser.getNumberType() == JsonParser.NumberType.INT ? parser.getIntValue()
                        : Integer.MIN_VALUE;
                if ((value < least || value > most) && !(allowIgnore && value == CausalLmExample.IGNORE_INDEX)) {
                    throw refuse(element, parser.getText(), expected, null);
                }
                if (n == values.length) {
                    values = Arrays.copyOf(values, 2 * n);
                }
                values[n++] = value;
            }
            return Arrays.copyOf(values, n);
        }

        private void addText(String text) {
            requireTokenizer();
            rows.add(new Row(line, "", text, null, null));
        }

        void addPrompt(long line, PromptTemplate template, List<String> columns, List<String> values) {
            this.line = line;
            requireTokenizer();
            String prompt;
            try {
                prompt = template.fill(column -> values.get(columns.indexOf(column)));
            } catch (InputException e) {
                throw refuse(e.field(), e.found(), e.expected(), e);
            }
            if (prompt.isBlank()) {
                throw refuse("", "a blank prompt", "a prompt of " + template, null);
            }
            String response = values.get(columns.size() - 1);
            if (response == null || response.isBlank()) {
                throw refuse(columns.get(columns.size() - 1), response == null ? "nothing" : "a blank text",
                        "a response", null);
            }
            rows.add(new Row(line, prompt, prompt + response, null, null));
        }

        private void requireTokenizer() {
            if (tokenizer == null) {
                tokenizer = supplier == null ? null : supplier.get();
            }
            if (tokenizer == null) {
                throw refuse("", "text, but there is no tokenizer", "a tokenizer.json, or rows with input_ids", null);
            }
        }

        /** The example of a row: the whole text, or just enough of a long one to show that it exceeds the maximum. */
        private CausalLmExample tokenize(Row row) {
            if (row.inputIds() != null) {
                return new CausalLmExample(row.inputIds(), row.labels());
            }
            int most = (int) Math.min(Integer.MAX_VALUE, maxSeqLength + 1L); // one more shows that there are more
            int[] ids;
            int[] prompt;
            try {
                ids = tokenizer.start(row.text(), most);
                prompt = row.prompt().isEmpty() ? new int[0] : tokenizer.start(row.prompt(), most);
            } catch (InputException e) {
                throw new InputException(where(row.line()), e.source(), e.found(), e.expected(), e);
            }
            // Where the encoding of the prompt alone ends differently, the last tokens of the prompt reach into the
            // response.
            int same = Arrays.mismatch(ids, prompt);
            int masked = same < 0 ? prompt.length : same;
            if (ids.length == most) {
                masked = Math.min(masked, maxSeqLength); // the response counts, and lies beyond
            }
            OptionalInt eos = tokenizer.eosTokenId();
            if (eos.isPresent() && (ids.length == 0 || ids[ids.length - 1] != eos.getAsInt())) {
                ids = Arrays.copyOf(ids, ids.length + 1);
                ids[ids.length - 1] = eos.getAsInt();
            }
            for (int id : ids) {
                if (id >= vocabSize) {
                    throw new InputException(where(row.line()), "", "a text whose tokens have id " + id,
                            "a tokenizer of the model, whose vocabulary has " + vocabSize + " tokens");
                }
            }
            checkLength(row.line(), ids);
            int[] labels = ids;
            if (masked > 0) {
                labels = ids.clone();
                Arrays.fill(labels, 0, masked, CausalLmExample.IGNORE_INDEX);
            }
            return new CausalLmExample(ids, labels);
        }

        private void checkLength(long line, int[] inputIds) {
            if (inputIds.length < 2) {
                throw new InputException(where(line), "", "an example of " + inputIds.length + " tokens", "at least 2");
            }
        }

        private CausalLmExample cut(CausalLmExample whole) {
            int[] ids = Arrays.copyOf(whole.inputIds(), maxSeqLength);
            return new CausalLmExample(ids, whole.labels() == whole.inputIds() ? ids
                    : Arrays.copyOf(whole.labels(), maxSeqLength));
        }

        private String where(long line) {
            return file + ", line " + line;
        }

        private InputException refuse(String field, String found, String expected, Throwable cause) {
            return new InputException(where(line), field, found, expected, cause);
        }
    }
}
