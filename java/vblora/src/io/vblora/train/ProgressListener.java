package io.vblora.train;

import java.io.PrintStream;
import java.time.Duration;
import java.util.Locale;
import java.util.function.LongSupplier;
import me.tongfei.progressbar.ConsoleProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;

/**
 * Shows how far a run is, its loss, rate and time left: a bar on a terminal, otherwise a plain line for the first and
 * the last step and every few seconds.
 */
public final class ProgressListener implements TrainingListener {
    private static final long LINE_INTERVAL_NANOS = 5_000_000_000L;

    private final PrintStream out;
    private final boolean terminal;
    private final LongSupplier nanoTime;
    private ProgressBar bar;
    private long beginNanos;
    private long lastLineNanos;

    /** @param terminal whether {@code out} is a terminal that can redraw a line */
    public ProgressListener(PrintStream out, boolean terminal) {
        this(out, terminal, System::nanoTime);
    }

    ProgressListener(PrintStream out, boolean terminal, LongSupplier nanoTime) {
        this.out = out;
        this.terminal = terminal;
        this.nanoTime = nanoTime;
    }

    @Override
    public void onTrainingBegin(Run run) {
        beginNanos = nanoTime.getAsLong();
        if (terminal) {
            bar = new ProgressBarBuilder().setTaskName("training").setInitialMax(run.totalSteps()).setUnit(" steps", 1)
                    .setStyle(ProgressBarStyle.ASCII).setUpdateIntervalMillis(200).continuousUpdate()
                    .setConsumer(new ConsoleProgressBarConsumer(out)).build();
        }
    }

    @Override
    public void onStep(Step step) {
        String state = String.format(Locale.ROOT, "loss %.4f, %,.0f tokens/s", step.loss(), step.tokensPerSecond());
        if (terminal) {
            bar.stepTo(step.step()).setExtraMessage(state);
            return;
        }
        long now = nanoTime.getAsLong();
        if (step.step() == 1 || step.step() == step.totalSteps() || now - lastLineNanos >= LINE_INTERVAL_NANOS) {
            lastLineNanos = now;
            double secondsPerStep = (now - beginNanos) / 1e9 / step.step();
            Duration left = Duration.ofSeconds(Math.round(secondsPerStep * (step.totalSteps() - step.step())));
            out.printf(Locale.ROOT, "step %,d/%,d, epoch %.2f, %s, %d:%02d:%02d left%n", step.step(), step.totalSteps(),
                    step.epoch(), state, left.toHours(), left.toMinutesPart(), left.toSecondsPart());
        }
    }

    @Override
    public void onEvaluation(Evaluation evaluation) {
        if (evaluation.step() == 0) {
            beginNanos = nanoTime.getAsLong(); // scoring before the first step says nothing of the steps' time
        }
    }

    @Override
    public void onTrainingEnd() {
        if (bar != null) {
            bar.close();
        }
    }
}
