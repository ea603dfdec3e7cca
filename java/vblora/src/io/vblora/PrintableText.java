package io.vblora;

/** Text from files as a person may be shown it. */
public final class PrintableText {
    private PrintableText() {}

    /**
     * The text with a Unicode escape (four hexadecimal digits, as Java and JSON write it) in place of each control
     * character, line or paragraph separator and unpaired surrogate: on a terminal they would act, not show.
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
}
