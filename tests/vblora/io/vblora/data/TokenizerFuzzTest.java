package io.vblora.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Damaged tokenizers are read or refused: none ends the process. */
@Tag("slow")
class TokenizerFuzzTest {
    private static final int CASES = 1000;

    @TempDir
    Path folder;

    @Test
    void readsOrRefusesDamagedFiles() throws IOException, InterruptedException {
        Path output = folder.resolve("output");
        Path errors = folder.resolve("errors");
        Process process = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp",
                System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                TokenizerFuzz.class.getName(), folder.toString(), "0", "" + CASES)
                .redirectOutput(output.toFile()).redirectError(errors.toFile()).start();
        try {
            boolean ended = process.waitFor(120, TimeUnit.SECONDS);
            List<String> lines = Files.readAllLines(output);
            String last = lines.isEmpty() ? "" : lines.get(lines.size() - 1);
            assertTrue(ended && process.exitValue() == 0, () -> "case " + last + (ended ? " ended the process: "
                    : " does not end: ") + text(errors) + "\n" + text(folder.resolve("tokenizer.json")));
            // A third of the files is not damaged, or not so that it matters
            assertTrue(last.startsWith("opened ") && Integer.parseInt(last.substring(7)) > CASES / 4, last);
            assertEquals(CASES + 1, lines.size());
        } finally {
            process.destroyForcibly().waitFor();
        }
    }

    private static String text(Path file) {
        try {
            return Files.exists(file) ? Files.readString(file) : "";
        } catch (IOException e) {
            return e.toString();
        }
    }
}
