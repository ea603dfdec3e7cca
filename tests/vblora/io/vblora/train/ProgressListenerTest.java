package io.vblora.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

class ProgressListenerTest {
    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    private final PrintStream out = new PrintStream(bytes, true, StandardCharsets.UTF_8);
    private long nanos = 1_000_000_000_000L;

    private static TrainingListener.Step step(long number) {
        return new TrainingListener.Step(number, 2000, number / 20.0, 6 - number / 1000.0, Map.of(), 1, 256, 1234.4);
    }

    private ProgressListener plain() {
        ProgressListener progress = new ProgressListener(out, false, () -> nanos);
        progress.onTrainingBegin(new TrainingListener.Run(2000, 10, 100));
        return progress;
    }

    private String printed() {
        return bytes.toString(StandardCharsets.UTF_8);
    }

    @Test
    void printsPlainLinesNowAndThenWhereThereIsNoTerminal() {
        ProgressListener progress = plain();
        nanos += 3_000_000_000L;
        progress.onEvaluation(new TrainingListener.Evaluation(0, Map.of("eval_loss", 7.0), true));
        for (int step = 1; step <= 2000; step++) {
            nanos += 2_000_000;
            if (step == 1000) {
                nanos += 3_598_000_000_000L;
            }
            progress.onStep(step(step));
        }
        Map<String, Double> scores = new LinkedHashMap<>();
        scores.put("eval_loss", 3.5);
        scores.put("accuracy", 0.75);
        progress.onEvaluation(new TrainingListener.Evaluation(2000, scores, true));
        progress.onTrainingEnd();
        assertEquals("""
                held-out data after step 0: eval_loss 7.0000
                step 1/2,000, epoch 0.05, loss 5.9990, 1,234 tokens/s, 0:00:04 left
                step 1,000/2,000, epoch 50.00, loss 5.0000, 1,234 tokens/s, 1:00:00 left
                step 2,000/2,000, epoch 100.00, loss 4.0000, 1,234 tokens/s, 0:00:00 left
                held-out data after step 2,000: eval_loss 3.5000, accuracy 0.7500, the best so far
                """, printed());
    }

    @Test
    void printsPlainLinesOfALongScoring() {
        ProgressListener progress = plain();
        for (int scored = 100; scored <= 2000; scored += 100) {
            nanos += 1_000_000_000;
            progress.onPredictionStep(new TrainingListener.PredictionStep(0, scored, 2000));
        }
        progress.onTrainingEnd();
        assertEquals("""
                scoring held-out data, 500/2,000
                scoring held-out data, 1,000/2,000
                scoring held-out data, 1,500/2,000
                scoring held-out data, 2,000/2,000
                """, printed());
    }

    @Test
    void saysOnATerminalWhatItHasRoomFor() {
        ProgressListener progress = plain();
        assertEquals("training   0% [" + " ".repeat(40) + "]     0/2,000" + " ".repeat(32), progress.text(100));
        nanos += 500_000_000_000L;
        progress.onStep(step(500));
        String bar = "[" + "=".repeat(10) + " ".repeat(30) + "]";
        assertEquals("training  25% " + bar + "   500/2,000, loss 5.5000, 0:25:00 left,  1,234 tokens/s  ",
                progress.text(114));
        assertEquals("training  25% [==         ]   500/2,000, loss 5.5000, 0:25:00 left,  1,234 tokens/s",
                progress.text(83));
        assertEquals("training  25% [===           ]   500/2,000, loss 5.5000, 0:25:00 left", progress.text(69));
        assertEquals("training  25% [==        ]   500/2,000, loss 5.5000", progress.text(51));
        assertEquals("training  25%   500/2,000, loss 5.5000    ", progress.text(42));
        assertEquals("training  25%   500/2,000     ", progress.text(30));
        assertEquals("training  ", progress.text(10));
        progress.onPredictionStep(new TrainingListener.PredictionStep(500, 60, 80));
        assertEquals("scoring   75% [=========   ] 60/80 held-out examples", progress.text(52));
        assertEquals("scoring   75%  ", progress.text(15));
        progress.onEvaluation(new TrainingListener.Evaluation(500, Map.of("eval_loss", 1.0), true));
        assertTrue(progress.text(80).startsWith("training  25% "));
    }

    @Test
    void theBarKeepsItsWidth() {
        ProgressListener progress = plain();
        nanos += 1_000_000_000L;
        for (int columns : new int[] {80, 100}) {
            List<Integer> ends = new ArrayList<>();
            for (int[] stepAndRate : new int[][] {{1, 7}, {10, 1234}, {2000, 98765}}) {
                progress.onStep(new TrainingListener.Step(stepAndRate[0], 2000, 1, 5.5, Map.of(), 1, 256,
                        stepAndRate[1]));
                ends.add(progress.text(columns).indexOf(']'));
            }
            assertEquals(1, Set.copyOf(ends).size(), ends::toString);
        }
    }

    @Test
    void drawsABarOnATerminalAndScoresAboveIt() {
        ProgressListener progress = new ProgressListener(out, true, () -> nanos);
        progress.onTrainingBegin(new TrainingListener.Run(2000, 10, 100));
        progress.onStep(step(500));
        progress.onEvaluation(new TrainingListener.Evaluation(500, Map.of("eval_loss", 1.5), false));
        progress.onTrainingEnd();
        String[] lines = printed().split("\n", -1);
        assertEquals(3, lines.length, printed());
        assertTrue(lines[0].contains("\rheld-out data after step 500: eval_loss 1.5000 "), printed());
        assertTrue(lines[1].contains("\rtraining  25% ") && lines[1].contains("500/2,000"), printed());
        assertEquals("", lines[2]);
    }

    /** Where it shows a run is its own standard error. */
    static final class Shown {
        private Shown() {}

        public static void main(String[] arguments) {
            ProgressListener progress = new ProgressListener(System.err);
            progress.onTrainingBegin(new TrainingListener.Run(2000, 10, 100));
            progress.onStep(step(1));
            progress.onTrainingEnd();
        }
    }

    /** What a process says that shows a run, started by the words in front of Java's command. */
    private static String shown(String... before) throws Exception {
        String java = String.join(" ", Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-cp",
                "'" + System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")) + "'",
                "'" + Shown.class.getName() + "'");
        List<String> command = new ArrayList<>(List.of(before));
        command.add(java);
        Process process = new ProcessBuilder(command).redirectErrorStream(true)
                .redirectInput(new File("/dev/null")).start();
        String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertEquals(0, process.waitFor(), said);
        return said;
    }

    @Test
    void findsOutWhetherItWritesToATerminal() throws Exception {
        ProgressListener elsewhere = new ProgressListener(out);
        elsewhere.onTrainingBegin(new TrainingListener.Run(2000, 10, 100));
        elsewhere.onStep(step(1));
        elsewhere.onTrainingEnd();
        assertTrue(printed().startsWith("step 1/2,000, ") && !printed().contains("\r"), printed());

        String piped = shown("sh", "-c");
        assertTrue(piped.startsWith("step 1/2,000, ") && !piped.contains("\r"), piped);
        Assumptions.assumeTrue(new ProcessBuilder("sh", "-c", "command -v script").start().waitFor() == 0,
                "the program script, which makes a terminal, is missing");
        String drawn = shown("script", "--quiet", "--return", "/dev/null", "--command");
        assertTrue(drawn.contains("\rtraining ") && !drawn.contains("step 1/2,000"), drawn);
    }
}
