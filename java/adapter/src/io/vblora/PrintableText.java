package io.vblora;

import java.util.Collection;
import java.util.Locale;
import java.util.stream.Collectors;

/** Text from files in a form that can be shown to a person. */
public final class PrintableText {
    /** The most names in a list of a message. */
    private static final int MOST_NAMES = 10;
    /** The most characters of a name in a message. */
    private static final int MOST_CHARACTERS = 100;
    /** How many characters a long message keeps of its beginning, and of its end, which says what was expected. */
    private static final int BEGINNING = 2000;
    private static final int END = 1000;

    private PrintableText() {}

    /**
     * The text with a Unicode escape (four hexadecimal digits, as Java and JSON write it) in place of each control
     * character, line or paragraph separator and unpaired surrogate: a terminal would obey these instead of showing
     * them.
     */
    public static String of(String text) {
        StringBuilder printable = new StringBuilder(text.length());
        text.codePoints().forEach(c -> {
            switch (Character.getType(c)) {
                case Character.CONTROL, Character.SURROGATE, Character.LINE_SEPARATOR, Character.PARAGRAPH_SEPARATOR ->
                        printable.append(String.format("\\u%04x", c));
                default -> printable.appendCodePoint(c);
            }
        });
        return printable.toString();
    }

    /**
     * A message as {@link #of} gives it, but without the middle if it is long, as when it repeats a value of a million
     * digits.
     */
    public static String message(String text) {
        String printable = of(text);
        int left = printable.length() - BEGINNING - END;
        if (left <= 0) {
            return printable;
        }
        int end = BEGINNING - (Character.isLowSurrogate(printable.charAt(BEGINNING)) ? 1 : 0);
        int next = printable.length() - END;
        next += Character.isLowSurrogate(printable.charAt(next)) ? 1 : 0;
        return printable.substring(0, end)
                + String.format(Locale.ROOT, " ... (%,d characters left out) ... ", next - end)
                + printable.substring(next);
    }

    /**
     * A name in quotation marks. It may come from a file and be of any length; of a long one only the beginning is
     * shown.
     */
    public static String quoted(String name) {
        int end = Math.min(name.length(), MOST_CHARACTERS);
        return '"' + name.substring(0, end) + '"' + (end == name.length() ? ""
                : String.format(Locale.ROOT, " (the first %d of %,d characters)", end, name.length()));
    }

    /** Names in quotation marks, of which there may be any number: at most ten of them, and how many more there are. */
    public static String list(Collection<String> names) {
        int more = names.size() - MOST_NAMES;
        return names.stream().limit(MOST_NAMES).map(PrintableText::quoted).collect(Collectors.joining(", "))
                + (more > 0 ? String.format(Locale.ROOT, " and %,d more", more) : "");
    }
}
