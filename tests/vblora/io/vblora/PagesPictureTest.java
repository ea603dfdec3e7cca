package io.vblora;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.kernels.Prerequisite;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The picture in README.md shows the recorded scores, and so does the table of the demo above it. */
class PagesPictureTest {
    private static final String SCORES = "docs/results/2026-11-30-demo-scores.csv";
    private static final String PICTURE = "docs/images/demo-scores.svg";

    @TempDir
    Path temporary;

    @Test
    void thePictureIsDrawnFromTheScores() throws Exception {
        Page readme = Page.of("README.md");
        Prerequisite.check(hasPython(), "python3, which draws the picture");
        Path drawn = temporary.resolve("drawn.svg");
        Process process = new ProcessBuilder("python3", Page.ROOT.resolve("tests/bench/demo_scores.py").toString(),
                "draw", Page.ROOT.resolve(SCORES).toString(), drawn.toString()).redirectErrorStream(true).start();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), said);
        assertTrue(readme.text().contains("(" + PICTURE + ")"));
        assertEquals(Files.readString(Page.ROOT.resolve(PICTURE)), Files.readString(drawn),
                "draw it again: python3 tests/bench/demo_scores.py draw " + SCORES + " " + PICTURE);
    }

    private static boolean hasPython() throws InterruptedException {
        try {
            Process process = new ProcessBuilder("python3", "--version").redirectErrorStream(true).start();
            process.getInputStream().readAllBytes();
            return process.waitFor() == 0;
        } catch (IOException e) {
            return false;
        }
    }

    /** The demo's own variants, with its seed, are among the runs of the picture. */
    @Test
    void theTableHasTheScoresOfTheDemosOwnVariants() throws IOException {
        String readme = Page.of("README.md").text();
        List<String[]> rows =
                Files.readAllLines(Page.ROOT.resolve(SCORES)).stream().map(row -> row.split(",")).toList();
        assertEquals(List.of("method", "r", "num_vectors", "seed", "stored_bytes", "accuracy"),
                Arrays.asList(rows.get(0)));
        long head = Long.parseLong(row(rows, "head", "0", "0")[4]);
        for (List<String> variant : List.of(List.of("head alone", "head", "0", "0"), List.of("LoRA", "lora", "4", "0"),
                List.of("VB-LoRA", "vblora", "4", "90"))) {
            String[] row = row(rows, variant.get(1), variant.get(2), variant.get(3));
            String line = String.format(Locale.ROOT, "(?m)^%s +%.1f %% .* %,d +%,d +[0-9.]+$", variant.get(0),
                    100 * Double.parseDouble(row[5]), Long.parseLong(row[4]) - head, head);
            assertTrue(Pattern.compile(line).matcher(readme).find(), () -> "no line like " + line);
        }
    }

    private static String[] row(List<String[]> rows, String method, String r, String numVectors) {
        return rows.stream().filter(row -> row[0].equals(method) && row[1].equals(r) && row[2].equals(numVectors)
                && row[3].equals("42")).findFirst().orElseThrow();
    }
}
