package io.vblora;

import static org.junit.jupiter.api.Assertions.assertEquals;

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
}
