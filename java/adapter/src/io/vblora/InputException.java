package io.vblora;

import java.nio.file.Path;

/**
 * Input that cannot be used: a file, a configuration value or an argument. It names the file (or option), the field,
 * what was found and what was expected, and its message is one paragraph of {@link PrintableText} for a person.
 */
public class InputException extends RuntimeException {
    private final String source;
    private final String field;
    private final String found;
    private final String expected;

    /**
     * @param source the file, or the option or argument, that holds the input
     * @param field the field in it, or "" if the whole input is meant
     * @param found what was found
     * @param expected what was expected
     */
    public InputException(String source, String field, String found, String expected) {
        this(source, field, found, expected, null);
    }

    public InputException(String source, String field, String found, String expected, Throwable cause) {
        super(PrintableText.message(source + ": " + (field.isEmpty() ? "" : field + ": ") + "found " + found
                + "; expected "
                + expected), cause);
        this.source = source;
        this.field = field;
        this.found = found;
        this.expected = expected;
    }

    public InputException(Path file, String field, String found, String expected) {
        this(file.toString(), field, found, expected);
    }

    public String source() {
        return source;
    }

    public String field() {
        return field;
    }

    public String found() {
        return found;
    }

    public String expected() {
        return expected;
    }
}
