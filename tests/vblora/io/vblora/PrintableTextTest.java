package io.vblora;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class PrintableTextTest {
    @Test
    void escapesWhatATerminalWouldActOn() {
        assertEquals("a\\u001b[31m\\u0000\\u007f\\u0085\\u000a\\u2028b",
                PrintableText.of("a\33[31m\0\177\u0085\n\u2028b"));
        assertEquals("\\ud83e x \\udd99", PrintableText.of("\ud83e x \udd99"));
        assertEquals("naïve 🦙 \\u", PrintableText.of("naïve 🦙 \\u"));
    }

    @Test
    void messagesOfInputExceptionsArePrintable() {
        InputException e = new InputException("file\33", "field\n", "found\0", "expected\ud800");
        assertEquals("file\\u001b: field\\u000a: found found\\u0000; expected expected\\ud800", e.getMessage());
        assertEquals("field\n", e.field());
    }
}
