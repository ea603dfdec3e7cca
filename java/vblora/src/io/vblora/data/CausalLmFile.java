package io.vblora.data;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadFeature;
import io.vblora.InputException;
import io.vblora.JsonFields;
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.Locale;
import java.util.function.Supplier;

/**
 * The examples of a file for causal language modelling. The file is UTF-8 (a byte order mark is skipped), its lines end
 * in LF or CRLF, blank lines count for nothing. It is either
 * <ul>
 * <li>text, a document per line, or
 * <li>JSON Lines, an object per line, if its name ends in {@code .jsonl} or {@code .json} or its first line that is not
 * blank begins with a brace. A row has either {@code text}, or {@code input_ids} with optional {@code labels} of the
 * same length, where -100 is left out of the loss; an {@code attention_mask} must be all ones. Other fields are
 * skipped.
 * </ul>
 * Text gets the tokenizer's end-of-sequence token, if it has one and the encoding does not end in it already; labels
 * are the input ids where none are given; every example is cut to {@code maxSeqLength} tokens.
 *
 * @param examples in the order of the file
 * @param truncated how many of them were cut
 */
public record CausalLmFile(List<Example> examples, int truncated) {
    private static final JsonFactory JSON =
            JsonFactory.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();

    /**
     * Reads and checks a whole file.
     *
     * @param tokenizer asked once, at the first text: data that is tokenised already needs none; null, or giving null,
     *     if there is none. It stays the caller's
     * @param maxSeqLength tokens to which an example is cut, at least 2
     * @param vocabSize token ids lie in [0, vocabSize)
     * @throws InputException if a line cannot be used; it names file and line
     * @throws UncheckedIOException if the file cannot be read
     */
    public static CausalLmFile read(Path file, Supplier<Tokenizer> tokenizer, int maxSeqLength, int vocabSize) {
        if (maxSeqLength < 2) {
            throw new IllegalArgumentException("Of " + maxSeqLength + " tokens none predicts another");
        }
        if (!Files.isRegularFile(file)) {
            throw new InputException(file, "", Files.exists(file) ? "not a regular file" : "no such file",
                    "text or JSON Lines");
        }
        Reader reader = new Reader(file, tokenizer, maxSeqLength, vocabSize);
        try (InputStream in = new BufferedInputStream(Files.newInputStream(file), 1 << 16)) {
            reader.readLines(in);
        } catch (IOException e) {
            throw new UncheckedIOException(file + " could not be read: " + e.getMessage(), e);
        }
        if (reader.examples.isEmpty()) {
            throw new InputException(file, "", "no line that is not blank", "at least one example");
        }
        return new CausalLmFile(List.copyOf(reader.examples), reader.truncated);
    }

    /** Tokens of all examples. */
    public long tokens() {
        return examples.stream().mapToLong(Example::length).sum();
    }

    /** Says in a line what was read. */
    public String summary() {
        return String.format(Locale.ROOT, "%,d examples, %,d tokens, longest %,d%s", examples.size(), tokens(),
                examples.stream().mapToInt(Example::length).max().orElse(0),
                truncated == 0 ? "" : String.format(Locale.ROOT, ", %,d truncated", truncated));
    }

    /** Reads one file; lives as long as that takes. */
    private static final class Reader {
        private final Path file;
        private final Supplier<Tokenizer> supplier;
        /** What the supplier gave at the first text. */
        private Tokenizer tokenizer;
        private final int maxSeqLength;
        private final int vocabSize;
        private final List<Example> examples = new ArrayList<>();
        private int truncated;
        private long line;
        private Boolean isJson;

        Reader(Path file, Supplier<Tokenizer> tokenizer, int maxSeqLength, int vocabSize) {
            this.file = file;
            this.supplier = tokenizer;
            this.maxSeqLength = maxSeqLength;
            this.vocabSize = vocabSize;
            String name = file.getFileName().toString().toLowerCase(Locale.ROOT);
            this.isJson = name.endsWith(".jsonl") || name.endsWith(".json") ? Boolean.TRUE : null;
        }

        void readLines(InputStream in) throws IOException {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            int b;
            do {
                b = in.read();
                if (b >= 0 && b != '\n') {
                    bytes.write(b);
                } else if (b == '\n' || bytes.size() > 0) {
                    line++;
                    readLine(decode(bytes.toByteArray()));
                    bytes.reset();
                }
            } while (b >= 0);
        }

        private String decode(byte[] bytes) {
            String text;
            try {
                text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
            } catch (CharacterCodingException e) {
                throw refuse("", "bytes that are not UTF-8", "UTF-8", e);
            }
            int start = line == 1 && text.startsWith("\uFEFF") ? 1 : 0;
            return text.substring(start, text.endsWith("\r") ? text.length() - 1 : text.length());
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
            try (JsonParser parser = JSON.createParser(json)) {
                if (parser.nextToken() != JsonToken.START_OBJECT) {
                    throw refuse("", name(parser.currentToken()), "a JSON object on each line (JSON Lines)", null);
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
            add(inputIds, labels == null ? inputIds : labels);
        }

        private void checkLength(String field, int[] values, int[] inputIds) {
            if (values != null && values.length != inputIds.length) {
                throw refuse(field, values.length + " values", inputIds.length + ", as input_ids has", null);
            }
        }

        private String readString(JsonParser parser) throws IOException {
            if (parser.currentToken() != JsonToken.VALUE_STRING) {
                throw refuse("text", name(parser.currentToken()), "a string", null);
            }
            String text = parser.getText();
            if (!StandardCharsets.UTF_8.newEncoder().canEncode(text)) {
                throw refuse("text", "half of a surrogate pair", "valid Unicode", null);
            }
            return text;
        }

        private int[] readInts(JsonParser parser, String field, int least, int most, boolean allowIgnore)
                throws IOException {
            String expected = (least == most ? "only " + least : "integers from " + least + " to " + most)
                    + (allowIgnore ? ", or " + Example.IGNORE_INDEX : "");
            if (parser.currentToken() != JsonToken.START_ARRAY) {
                throw refuse(field, name(parser.currentToken()), "an array of " + expected, null);
            }
            int[] values = new int[64];
            int n = 0;
            while (parser.nextToken() != JsonToken.END_ARRAY) {
                String element = field + "[" + n + "]";
                JsonToken token = parser.currentToken();
                if (token != JsonToken.VALUE_NUMBER_INT) {
                    throw refuse(element, token.isNumeric() ? parser.getText() : name(token), expected, null);
                }
                int value = parser.getNumberType() == JsonParser.NumberType.INT ? parser.getIntValue()
                        : Integer.MIN_VALUE;
                if ((value < least || value > most) && !(allowIgnore && value == Example.IGNORE_INDEX)) {
                    throw refuse(element, parser.getText(), expected, null);
                }
                if (n == values.length) {
                    values = Arrays.copyOf(values, 2 * n);
                }
                values[n++] = value;
            }
            return Arrays.copyOf(values, n);
        }

        private static String name(JsonToken token) {
            return switch (token) {
                case START_OBJECT -> "an object";
                case START_ARRAY -> "an array";
                case VALUE_STRING -> "a string";
                case VALUE_NULL -> "null";
                case VALUE_TRUE, VALUE_FALSE -> "a boolean";
                default -> "a number";
            };
        }

        private void addText(String text) {
            if (tokenizer == null) {
                tokenizer = supplier == null ? null : supplier.get();
            }
            if (tokenizer == null) {
                throw refuse("", "text, but there is no tokenizer", "a tokenizer.json, or rows with input_ids", null);
            }
            int[] ids = tokenizer.encode(text);
            OptionalInt eos = tokenizer.eosTokenId();
            if (eos.isPresent() && (ids.length == 0 || ids[ids.length - 1] != eos.getAsInt())) {
                ids = Arrays.copyOf(ids, ids.length + 1);
                ids[ids.length - 1] = eos.getAsInt();
            }
            for (int id : ids) {
                if (id >= vocabSize) {
                    throw refuse("", "a text whose tokens have id " + id,
                            "a tokenizer of the model, whose vocabulary has " + vocabSize + " tokens", null);
                }
            }
            add(ids, ids);
        }

        private void add(int[] inputIds, int[] labels) {
            if (inputIds.length < 2) {
                throw refuse("", "an example of " + inputIds.length + " tokens", "at least 2", null);
            }
            Example example = new Example(inputIds, labels);
            if (inputIds.length > maxSeqLength) {
                int[] cut = Arrays.copyOf(inputIds, maxSeqLength);
                example = new Example(cut, labels == inputIds ? cut : Arrays.copyOf(labels, maxSeqLength));
                truncated++;
            }
            if (example.countedLabels() == 0) {
                throw refuse("labels", "only " + Example.IGNORE_INDEX + " in positions 1 to " + (example.length() - 1),
                        "a label that counts, after the first position and within the maximum of " + maxSeqLength
                        + " tokens", null);
            }
            examples.add(example);
        }

        private InputException refuse(String field, String found, String expected, Throwable cause) {
            return new InputException(file + ", line " + line, field, found, expected, cause);
        }
    }
}
