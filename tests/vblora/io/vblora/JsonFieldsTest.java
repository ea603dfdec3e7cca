package io.vblora;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.data.Pipes;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class JsonFieldsTest {
    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "{\"a\": NaN}       | malformed JSON (Non-standard token 'NaN')",
        "{\"a\": -Infinity} | malformed JSON (Non-standard token '-Infinity')",
        "{\"a\": +1}        | JSON spec does not allow numbers to have plus signs)",
        "{\"a\": 1 // x     | maybe a (non-standard) comment?)",
    })
    void saysWhatIsWrongWithoutTheParsersAdvice(String json, String expected) {
        String message = assertThrows(InputException.class,
                () -> JsonFields.parse("text", json.getBytes(StandardCharsets.UTF_8))).getMessage();
        assertTrue(message.contains(expected), message);
        assertFalse(message.contains("Feature") || message.contains("enable"), message);
    }

    @Test
    void namesAFileThatCannotBeReadOnce(@TempDir Path folder) throws IOException {
        Path file = Files.writeString(folder.resolve("file"), "{}").resolve("config.json");
        assertEquals(file + " could not be read: Not a directory",
                assertThrows(UncheckedIOException.class, () -> JsonFields.read(file)).getMessage());
    }

    @Test
    void refusesWhatIsNoRegularFile(@TempDir Path folder) throws Exception {
        Path pipe = Pipes.make(folder.resolve("config.json"));
        for (Path path : List.of(pipe, Path.of("/dev/zero"), Path.of("/dev/null"))) {
            assertEquals(path + ": found not a regular file; expected a JSON file", refusal(path));
        }
        assertEquals(folder + ": found a folder; expected a JSON file", refusal(folder));
        assertEquals(folder.resolve("none") + ": found no such file; expected a JSON file",
                refusal(folder.resolve("none")));
    }

    private static String refusal(Path file) {
        // Opening a pipe waits for a writer
        return assertTimeoutPreemptively(Duration.ofSeconds(10),
                () -> assertThrows(InputException.class, () -> JsonFields.read(file)).getMessage());
    }

    /** A file of which the size is not known beforehand: the system says 0 of all of these. */
    @Test
    void readsNoMoreThanTheLimit() {
        Path file = Path.of("/proc/self/maps");
        assertTrue(WholeFile.read(file, "text", 1 << 20).length > 100);
        assertEquals(file + ": found more than 100 bytes; expected text of at most 100 bytes",
                assertThrows(InputException.class, () -> WholeFile.read(file, "text", 100)).getMessage());
    }

    @Test
    void refusesFilesThatAreTooLarge(@TempDir Path folder) throws IOException {
        Path file = folder.resolve("config.json");
        try (RandomAccessFile large = new RandomAccessFile(file.toFile(), "rw")) {
            large.setLength(1L << 40);
        }
        assertEquals(file + ": found 1099511627776 bytes; expected a JSON file of at most 16777216 bytes",
                refusal(file));
    }

    @Test
    void refusesDeepTextAndHugeNumbers() {
        for (String value : List.of("[".repeat(1_000_000), "{\"a\":".repeat(1_000_000), "1".repeat(1_000_000),
                "0." + "1".repeat(1_000_000))) {
            byte[] json = ("{\"a\": " + value + "}").getBytes(StandardCharsets.UTF_8);
            String message = assertThrows(InputException.class, () -> JsonFields.parse("text", json)).getMessage();
            assertTrue(message.startsWith("text: found malformed JSON (") && message.length() < 400, message);
        }
        for (String value : List.of("1e999999999", "-1e999999999")) {
            JsonFields fields = JsonFields.parse("text", ("{\"a\": " + value + "}").getBytes(StandardCharsets.UTF_8));
            assertThrows(InputException.class, () -> fields.number("a", -1e30, 1e30));
            assertThrows(InputException.class, () -> fields.integer("a", 0, 10));
        }
    }
}
