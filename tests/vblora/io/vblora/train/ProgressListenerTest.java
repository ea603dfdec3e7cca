package io.vblora.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ProgressListenerTest {
    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    private final PrintStream out = new PrintStream(bytes, true, StandardCharsets.UTF_8);
    private long nanos = 1_000_000_000_000L;

    private static TrainingListener.Step step(long number) {
        return new TrainingListener.Step(number, 2000, number / 20.0, 6 - number / 1000.0, Map.of(), 1, 256, 1234.4);
    }

    @Test
    void printsPlainLinesNowAndThenWhereThereIsNoTerminal() {
        ProgressListener progress = new ProgressListener(out, false, () -> nanos);
        progress.onTrainingBegin(new TrainingListener.Run(2000, 10, 100));
        nanos += 3_000_000_000L;
        progress.onEvaluation(new TrainingListener.Evaluation(0, Map.of("eval_loss", 7.0), true));
        for (int step = 1; step <= 2000; step++) {
            nanos += 2_000_000;
            if (step == 1000) {
                nanos += 3_598_000_000_000L;
            }
            progress.onStep(step(step));
        }
        progress.onTrainingEnd();
        assertEquals("""
                step 1/2,000, epoch 0.05, loss 5.9990, 1,234 tokens/s, 0:00:04 left
                step 1,000/2,000, epoch 50.00, loss 5.0000, 1,234 tokens/s, 1:00:00 left
                step 2,000/2,000, epoch 100.00, loss 4.0000, 1,234 tokens/s, 0:00:00 left
                """, bytes.toString(StandardCharsets.UTF_8));
    }

    @Test
    void drawsABarOnATerminal() {
        ProgressListener progress = new ProgressListener(out, true);
        progress.onTrainingBegin(new TrainingListener.Run(2000, 10, 100));
        progress.onStep(step(500));
        progress.onTrainingEnd();
        String drawn = bytes.toString(StandardCharsets.UTF_8);
        assertTrue(drawn.contains("training") && drawn.contains("25%"), drawn);
        assertTrue(drawn.contains("500/2000"), drawn);
    }
}
