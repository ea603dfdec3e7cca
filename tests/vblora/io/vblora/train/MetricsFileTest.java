package io.vblora.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MetricsFileTest {
    @TempDir
    Path folder;

    private static TrainingListener.Step step(long number, double loss) {
        return new TrainingListener.Step(number, 60, number / 20.0, loss,
                new TreeMap<>(Map.of("learning_rate_vector_bank", 1e-3, "learning_rate_logits", 1e-2)), 2.0 / 3, 256,
                1234.5);
    }

    @Test
    void writesAnObjectPerStepWithAllDigitsAndAtOnce() throws IOException {
        Path file = Files.writeString(folder.resolve("metrics.jsonl"), "of an earlier run\n");
        double loss = Math.nextUp(6.2471);
        try (MetricsFile metrics = new MetricsFile(file)) {
            metrics.onStep(step(1, loss));
            assertEquals(1, Files.readAllLines(file).size());
            metrics.onStep(step(2, 1e-12));
            List<String> lines = Files.readAllLines(file);
            assertEquals("{\"step\":1,\"loss\":" + loss
                    + ",\"learning_rate_logits\":0.01,\"learning_rate_vector_bank\":0.001,"
                    + "\"grad_norm\":0.6666666666666666,\"tokens_per_second\":1234.5}", lines.get(0));
            JsonNode second = new ObjectMapper().readTree(lines.get(1));
            assertEquals(1e-12, second.get("loss").doubleValue());
            assertEquals(2, second.get("step").longValue());
        }
    }

    @Test
    void writesAnObjectPerScoring() throws IOException {
        Path file = folder.resolve("metrics.jsonl");
        Map<String, Double> scores = new LinkedHashMap<>();
        scores.put("eval_loss", 0.1);
        scores.put("pearson", Double.NaN);
        try (MetricsFile metrics = new MetricsFile(file)) {
            metrics.onEvaluation(new TrainingListener.Evaluation(0, scores, true));
            metrics.onStep(step(1, 2));
            metrics.onEvaluation(new TrainingListener.Evaluation(1, scores, false));
        }
        List<String> lines = Files.readAllLines(file);
        assertEquals("{\"step\":0,\"eval_loss\":0.1,\"pearson\":\"NaN\",\"best\":true}", lines.get(0));
        assertEquals("{\"step\":1,\"eval_loss\":0.1,\"pearson\":\"NaN\",\"best\":false}", lines.get(2));
        assertEquals(3, lines.size());
    }

    @Test
    void namesTheFileThatItCannotWrite() {
        Path file = folder.resolve("no/such/folder/metrics.jsonl");
        String message = assertThrows(UncheckedIOException.class, () -> new MetricsFile(file)).getMessage();
        assertEquals("The metrics file " + file + " could not be written: No such file or directory", message);
    }
}
