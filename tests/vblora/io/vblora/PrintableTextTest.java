package io.vblora;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.stream.IntStream;
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

    @Test
    void listsABoundedNumberOfNames() {
        assertEquals("\"a\", \"b\"", PrintableText.list(List.of("a", "b")));
        List<String> names = IntStream.rangeClosed(1, 1_000_010).mapToObj(Integer::toString).toList();
        String ten = "\"1\", \"2\", \"3\", \"4\", \"5\", \"6\", \"7\", \"8\", \"9\", \"10\"";
        assertEquals(ten, PrintableText.list(names.subList(0, 10)));
        assertEquals(ten + " and 1,000,000 more", PrintableText.list(names));
        assertEquals('"' + "x".repeat(100) + "\" (the first 100 of 5,000 characters)",
                PrintableText.quoted("x".repeat(5000)));
    }

    @Test
    void longMessagesKeepTheirBeginningAndEnd() {
        String text = "a".repeat(2000) + "b".repeat(1000);
        assertEquals(text, PrintableText.message(text));
        assertEquals("a".repeat(2000) + " ... (98,000 characters left out) ... " + "b".repeat(1000),
                PrintableText.message("a".repeat(2000) + "x".repeat(98_000) + "b".repeat(1000)));
        // A character of two halves on either cut is left out whole.
        assertEquals("a".repeat(1999) + " ... (14 characters left out) ... " + "b".repeat(999),
                PrintableText.message("a".repeat(1999) + "\ud83d\ude00" + "x".repeat(10) + "\ud83d\ude00"
                        + "b".repeat(999)));

        String digits = "7".repeat(1_000_000);
        InputException e = new InputException("config.json", "r", digits, "1 to 256");
        assertTrue(e.getMessage().length() < 3100, e.getMessage());
        assertTrue(e.getMessage().startsWith("config.json: r: found 777"), e.getMessage());
        assertTrue(e.getMessage().endsWith("777; expected 1 to 256"), e.getMessage());
        assertEquals(digits, e.found());
    }
}
