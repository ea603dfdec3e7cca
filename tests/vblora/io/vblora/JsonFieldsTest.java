package io.vblora;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
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
}
