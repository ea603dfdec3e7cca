package io.vblora.train;

import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.LongSupplier;
import java.util.stream.Collectors;
import me.tongfei.progressbar.ConsoleProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;

/**
 * Shows how far a run or an evaluation on held-out data has got, the loss, the rate and the time that is left. On a
 * terminal this is a bar as wide as the terminal; otherwise it is a plain line for the first and the last step, and one
 * every few seconds. Scores are always printed on a line of their own. If the JVM ends during a run, by Ctrl-C for
 * example, the bar's line is ended.
 */
public final class ProgressListener implements TrainingListener {
    private static final long LINE_INTERVAL_NANOS = 5_000_000_000L;
    private static final int LEAST_BAR = 10;
    private static final int LARGEST_BAR = 40;
    private static final int RATE_WIDTH = "99,999 tokens/s".length();

    private final PrintStream out;
    private final boolean terminal;
    private final LongSupplier nanoTime;
    /** It is drawn by a thread of its own, so that the fields below are guarded by this. */
    private ProgressBar bar;
    private Line line;
    private Thread endLine;
    private Run run;
    private Step step;
    private PredictionStep scoring;
    private long beginNanos;
    private long lastLineNanos;

    /**
     * Draws a bar if {@code out} is {@link System#out} or {@link System#err}, as the JVM has set them up, and is a
     * terminal; otherwise prints lines.
     */
    public ProgressListener(PrintStream out) {
        this(out, isTerminal(out), System::nanoTime);
    }

    /** @param terminal whether {@code out} can redraw a line */
    ProgressListener(PrintStream out, boolean terminal, LongSupplier nanoTime) {
        this.out = out;
        this.terminal = terminal;
        this.nanoTime = nanoTime;
    }

    private static boolean isTerminal(PrintStream out) {
        if (out != System.out && out != System.err) {
            return false;
        }
        try {
            return Files.readSymbolicLink(Path.of("/proc/self/fd", out == System.out ? "1" : "2")).toString()
                    .matches("/dev/(pts/\\d+|tty\\w*|console)");
        } catch (IOException | UnsupportedOperationException e) {
            return false;
        }
    }

    @Override
    public void onTrainingBegin(Run newRun) {
        synchronized (this) {
            run = newRun;
            step = null;
            scoring = null;
            beginNanos = nanoTime.getAsLong();
            lastLineNanos = beginNanos;
        }
        if (terminal) {
            line = new Line();
            endLine = new Thread(line::end);
            Runtime.getRuntime().addShutdownHook(endLine);
            bar = new ProgressBarBuilder().setInitialMax(newRun.totalSteps()).setUpdateIntervalMillis(200)
                    .continuousUpdate().setRenderer((progress, columns) -> text(columns)).setConsumer(line).build();
        }
    }

    @Override
    public synchronized void onStep(Step newStep) {
        step = newStep;
        boolean firstOrLast = step.step() == 1 || step.step() == step.totalSteps();
        if (!terminal && (firstOrLast || isLineDue())) {
            lastLineNanos = nanoTime.getAsLong();
            out.printf(Locale.ROOT, "step %,d/%,d, epoch %.2f, %s, %s, %s%n", step.step(), step.totalSteps(),
                    step.epoch(), loss(), rate(), timeLeft());
        }
    }

    @Override
    public synchronized void onPredictionStep(PredictionStep prediction) {
        scoring = prediction;
        if (!terminal && isLineDue()) {
            lastLineNanos = nanoTime.getAsLong();
            out.printf(Locale.ROOT, "scoring held-out data, %,d/%,d%n", scoring.scored(), scoring.examples());
        }
    }

    @Override
    public synchronized void onEvaluation(Evaluation evaluation) {
        scoring = null;
        if (evaluation.step() == 0) {
            beginNanos = nanoTime.getAsLong(); // the evaluation before the first step tells nothing about the steps
        }
        String scores = evaluation.metrics().entrySet().stream()
                .map(score -> String.format(Locale.ROOT, "%s %.4f", score.getKey(), score.getValue()))
                .collect(Collectors.joining(", "));
        String text = String.format(Locale.ROOT, "held-out data after step %,d: %s%s", evaluation.step(), scores,
                evaluation.best() && evaluation.step() > 0 ? ", the best so far" : "");
        if (terminal) {
            line.above(text);
        } else {
            out.println(text);
        }
    }

    @Override
    public void onTrainingEnd() {
        if (terminal) {
            bar.close();
            line.end(); // a refresh that runs just then can keep the bar from closing its line
            try {
                Runtime.getRuntime().removeShutdownHook(endLine);
            } catch (IllegalStateException e) {
                // The JVM is ending, so the hook is no longer needed.
            }
        }
    }

    private boolean isLineDue() {
        return nanoTime.getAsLong() - lastLineNanos >= LINE_INTERVAL_NANOS;
    }

    private String loss() {
        return String.format(Locale.ROOT, "loss %.4f", step.loss());
    }

    private String rate() {
        return String.format(Locale.ROOT, "%,.0f tokens/s", step.tokensPerSecond());
    }

    private String timeLeft() {
        double secondsPerStep = (nanoTime.getAsLong() - beginNanos) / 1e9 / step.step();
        Duration left = Duration.ofSeconds(Math.round(secondsPerStep * (step.totalSteps() - step.step())));
        return String.format(Locale.ROOT, "%d:%02d:%02d left", left.toHours(), left.toMinutesPart(),
                left.toSecondsPart());
    }

    /** The text of the bar's line, padded to the terminal's columns. The more columns there are, the more it tells. */
    synchronized String text(int columns) {
        boolean scores = scoring != null;
        long done = scores ? scoring.scored() : step == null ? 0 : step.step();
        long all = scores ? scoring.examples() : run.totalSteps();
        String head = String.format(Locale.ROOT, "%-8s %3d%% ", scores ? "scoring" : "training", 100 * done / all);
        // The most important comes first. Numbers get their full width from the start, so that the bar keeps its own.
        String total = String.format(Locale.ROOT, "%,d", all);
        List<String> details = new ArrayList<>(List.of(String.format(Locale.ROOT, "%," + total.length() + "d/%s%s",
                done, total, scores ? " held-out examples" : "")));
        if (!scores && step != null) {
            details.addAll(List.of(loss(), timeLeft(), String.format("%" + RATE_WIDTH + "s", rate())));
        }
        int room = columns - head.length();
        List<String> besideBar = fitting(details, room - LEAST_BAR - 3);
        String text = head + String.join(", ", fitting(details, room));
        if (besideBar.size() >= Math.min(2, details.size())) {
            String tail = String.join(", ", besideBar);
            int width = Math.min(LARGEST_BAR, room - 3 - tail.length());
            int full = (int) (width * done / all);
            text = head + "[" + "=".repeat(full) + " ".repeat(width - full) + "] " + tail;
        }
        return (text + " ".repeat(Math.max(0, columns - text.length()))).substring(0, columns);
    }

    /** As many of the texts, from the first on, as there is room for, separated by two characters. */
    private static List<String> fitting(List<String> details, int room) {
        int count = 0;
        for (int length = -2; count < details.size(); count++) {
            length += 2 + details.get(count).length();
            if (length > room) {
                break;
            }
        }
        return details.subList(0, count);
    }

    /** The terminal's last line, on which the bar is drawn until that line is ended. */
    private final class Line extends ConsoleProgressBarConsumer {
        private boolean ended;

        Line() {
            super(out);
        }

        @Override
        public synchronized void accept(String text) {
            if (!ended) {
                out.print("\r" + text);
                out.flush();
            }
        }

        /** Prints a permanent line in place of the bar, which is then drawn again below it. */
        synchronized void above(String text) {
            if (!ended) {
                out.println("\r" + text + " ".repeat(Math.max(0, getMaxRenderedLength() - text.length())));
            }
        }

        @Override
        public void close() {
            end();
        }

        synchronized void end() {
            if (!ended) {
                ended = true;
                out.println();
                out.flush();
            }
        }
    }
}
