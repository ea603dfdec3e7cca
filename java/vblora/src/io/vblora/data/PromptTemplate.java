package io.vblora.data;

import io.vblora.InputException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

/**
 * Text with the names of columns in braces, which are replaced by the columns' values; a doubled brace stands for a
 * single one in the text. A template may have a shorter variant for rows in which a column is blank. Immutable.
 */
public final class PromptTemplate {
    /**
     * The two prompts that Stanford Alpaca was trained with (tatsu-lab/stanford_alpaca, train.py): one for rows with
     * {@code instruction} and {@code input}, one for rows whose {@code input} is blank or missing.
     */
    public static final PromptTemplate ALPACA = parse("alpaca", """
            Below is an instruction that describes a task, paired with an input that provides further context. \
            Write a response that appropriately completes the request.

            ### Instruction:
            {instruction}

            ### Input:
            {input}

            ### Response:""").without("input", """
            Below is an instruction that describes a task. \
            Write a response that appropriately completes the request.

            ### Instruction:
            {instruction}

            ### Response:""");

    private static final int MAX_CHARACTERS = 1 << 20;

    private final String source;
    /** Text and names of columns in turn, text first and last. */
    private final List<String> pieces;
    /** The column that may be blank, and the template for rows in which it is; null if there is none. */
    private final String optional;
    private final PromptTemplate shorter;

    private PromptTemplate(String source, List<String> pieces, String optional, PromptTemplate shorter) {
        this.source = source;
        this.pieces = pieces;
        this.optional = optional;
        this.shorter = shorter;
    }

    /** The value of a column, and nothing else. */
    public static PromptTemplate column(String name) {
        return new PromptTemplate(name, List.of("", name, ""), null, null);
    }

    /**
     * Reads a template from a UTF-8 file. Line ends become LF, and the last line end of the file is not part of the
     * prompt.
     *
     * @throws InputException if the file is missing or broken
     */
    public static PromptTemplate read(Path file) {
        StringBuilder text = new StringBuilder();
        try (Utf8Reader in = new Utf8Reader(file, "a prompt template", ReadingListener.NONE)) {
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                text.append(text.length() == 0 && in.lineEnds() < 2 ? "" : "\n").append(line);
                if (text.length() > MAX_CHARACTERS) {
                    throw new InputException(file, "", "more than " + MAX_CHARACTERS + " characters",
                            "a prompt template");
                }
            }
        }
        return parse(file.toString(), text.toString());
    }

    /**
     * Parses a template.
     *
     * @param source what messages call it
     * @throws InputException if braces do not match, or there is no column
     */
    public static PromptTemplate parse(String source, String text) {
        List<String> pieces = new ArrayList<>();
        StringBuilder piece = new StringBuilder();
        int line = 1;
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            line += c == '\n' ? 1 : 0;
            if (c != '{' && c != '}') {
                piece.append(c);
            } else if (i + 1 < text.length() && text.charAt(i + 1) == c) {
                piece.append(c);
                i++;
            } else {
                int end = text.indexOf('}', i);
                String name = c == '{' && end > 0 ? text.substring(i + 1, end) : "";
                if (name.isBlank() || name.contains("{") || name.contains("\n")) {
                    throw new InputException(source + ", line " + line, "", "a single " + c,
                            "a column's name in braces, or two braces for one of the text");
                }
                pieces.add(piece.toString());
                pieces.add(name.strip());
                piece.setLength(0);
                i = end;
            }
        }
        pieces.add(piece.toString());
        if (pieces.size() == 1) {
            throw new InputException(source, "", "no column's name in braces", "at least one");
        }
        return new PromptTemplate(source, List.copyOf(pieces), null, null);
    }

    /**
     * This template for rows in which {@code column} is not blank, with another one for all other rows.
     *
     * @throws InputException as {@link #parse} does
     */
    public PromptTemplate without(String column, String text) {
        return new PromptTemplate(source, pieces, column, parse(source, text));
    }

    /** The text that {@link #parse} reads as this template; if there are two variants, that of the longer one. */
    String text() {
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < pieces.size(); i++) {
            text.append(i % 2 == 1 ? "{" + pieces.get(i) + "}" : pieces.get(i).replace("{", "{{").replace("}", "}}"));
        }
        return text.toString();
    }

    /** The column that this template consists of, if there is nothing else in it. */
    Optional<String> singleColumn() {
        return pieces.equals(List.of("", pieces.get(1), "")) ? Optional.of(pieces.get(1)) : Optional.empty();
    }

    /** The column that may be blank; if there is one, there is also a {@link #shorter} variant. */
    Optional<String> optionalColumn() {
        return Optional.ofNullable(optional);
    }

    /** The variant for rows in which {@link #optionalColumn} is blank; null if there is none. */
    PromptTemplate shorter() {
        return shorter;
    }

    /** The columns whose values it takes, each once. */
    public List<String> columns() {
        Stream<String> own = Stream.iterate(1, i -> i < pieces.size(), i -> i + 2).map(pieces::get);
        return (shorter == null ? own : Stream.concat(own, shorter.columns().stream())).distinct().toList();
    }

    /**
     * The prompt of a row.
     *
     * @param values gives the value of a column, or null if the row does not have it
     * @throws InputException if the row lacks a column
     */
    public String fill(UnaryOperator<String> values) {
        if (optional != null && (values.apply(optional) == null || values.apply(optional).isBlank())) {
            return shorter.fill(values);
        }
        StringBuilder prompt = new StringBuilder(pieces.get(0));
        for (int i = 1; i < pieces.size(); i += 2) {
            String value = values.apply(pieces.get(i));
            if (value == null) {
                throw new InputException(source, pieces.get(i), "nothing", "a text");
            }
            prompt.append(value).append(pieces.get(i + 1));
        }
        return prompt.toString();
    }

    /** Whether both make the same prompt of every row. */
    @Override
    public boolean equals(Object other) {
        return other instanceof PromptTemplate template && pieces.equals(template.pieces)
                && Objects.equals(optional, template.optional) && Objects.equals(shorter, template.shorter);
    }

    @Override
    public int hashCode() {
        return Objects.hash(pieces, optional, shorter);
    }

    /** What messages call it. */
    @Override
    public String toString() {
        return source;
    }
}
