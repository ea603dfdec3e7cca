package io.vblora.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.InputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PromptTemplateTest {
    @TempDir
    Path folder;

    @Test
    void putsValuesInThePlaceOfColumns() {
        PromptTemplate template = PromptTemplate.parse("test", "{a}, {{b}}: { a b }{a}}}");
        assertEquals(List.of("a", "a b"), template.columns());
        assertEquals("{x}, {b}: y{x}}", template.fill(Map.of("a", "{x}", "a b", "y")::get));
        assertEquals("{x}", PromptTemplate.column("a}").fill(Map.of("a}", "{x}")::get));
    }

    /** Expected texts: the prompts of stanford_alpaca's train.py. */
    @Test
    void asksAsAlpacaDoesWithAndWithoutInput() {
        String with = "Below is an instruction that describes a task, paired with an input that provides further "
                + "context. Write a response that appropriately completes the request.\n\n"
                + "### Instruction:\nAdd.\n\n### Input:\n1 1\n\n### Response:";
        String without = "Below is an instruction that describes a task. "
                + "Write a response that appropriately completes the request.\n\n"
                + "### Instruction:\nAdd.\n\n### Response:";
        assertEquals(with, PromptTemplate.ALPACA.fill(Map.of("instruction", "Add.", "input", "1 1")::get));
        assertEquals(without, PromptTemplate.ALPACA.fill(Map.of("instruction", "Add.", "input", " ")::get));
        assertEquals(without, PromptTemplate.ALPACA.fill(Map.of("instruction", "Add.")::get));
        assertEquals(List.of("instruction", "input"), PromptTemplate.ALPACA.columns());
        assertThrows(InputException.class, () -> PromptTemplate.ALPACA.fill(Map.of("input", "1")::get));
    }

    @Test
    void readsAFileWithoutItsLastLineEnd() throws IOException {
        Path file = Files.writeString(folder.resolve("template.txt"), "\uFEFF\r\nQ: {q}\r\nA:\r\n\r\n");
        assertEquals("\nQ: x\nA:\n", PromptTemplate.read(file).fill(column -> "x"));
        Files.writeString(file, "\n\n{q}");
        assertEquals("\n\nx", PromptTemplate.read(file).fill(column -> "x"));
        Files.writeString(file, "x".repeat(2 << 20));
        assertTrue(assertThrows(InputException.class, () -> PromptTemplate.read(file)).getMessage()
                .startsWith(file + ": found more than 1048576 characters"));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "a {b} {    | , line 1: found a single {",
        "a\\n{b} }   | , line 2: found a single }",
        "{a {b}     | , line 1: found a single {",
        "{a\\n}      | , line 1: found a single {",
        "{}         | , line 1: found a single {",
        "}{         | , line 1: found a single }",
        "{{a}}      | : found no column's name in braces; expected at least one",
        "``         | : found no column's name",
    })
    void refusesABrokenTemplate(String text, String expected) throws IOException {
        Path file = Files.writeString(folder.resolve("template.txt"), text.replace("\\n", "\n"));
        String message = assertThrows(InputException.class, () -> PromptTemplate.read(file)).getMessage();
        assertTrue(message.startsWith(file + expected), message);
    }
}
