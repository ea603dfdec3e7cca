package io.vblora.cli;

import io.vblora.train.Objective;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Lines for a person in two columns, a name and what there is to say about it. */
final class Summary {
    private final List<Map.Entry<String, String>> lines = new ArrayList<>();

    void line(String name, String format, Object... arguments) {
        lines.add(Map.entry(name, String.format(Locale.ROOT, format, arguments)));
    }

    void print(PrintWriter out) {
        int width = lines.stream().mapToInt(line -> line.getKey().length()).max().orElse(0);
        lines.forEach(line -> out.printf("%-" + width + "s  %s%n", line.getKey(), line.getValue()));
        out.flush();
    }

    /** The name of a score on held-out data; eval_loss becomes the loss. */
    static String heldOut(String metric) {
        return "held-out " + (metric.equals(Objective.EVAL_LOSS) ? "loss" : metric);
    }
}
