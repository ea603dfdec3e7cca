package io.vblora.cli;

import picocli.CommandLine.Help;
import picocli.CommandLine.Help.ColorScheme;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.UsageMessageSpec;

/**
 * The number of columns of help: that of the environment variable COLUMNS, or else of the terminal if standard input
 * and output are one, or else 80, within bounds between which help can be laid out and read.
 */
final class HelpWidth {
    /** picocli's own minimum. */
    private static final int LEAST = 55;
    private static final int MOST = 120;

    private HelpWidth() {}

    static Help helpFor(CommandSpec command, ColorScheme colors) {
        UsageMessageSpec message = command.usageMessage();
        String columns = System.getenv("COLUMNS");
        int wanted = columns != null && columns.matches("\\d{1,6}") ? Integer.parseInt(columns)
                : message.autoWidth(true).width();
        message.autoWidth(false).width(Math.max(LEAST, Math.min(MOST, wanted)));
        return new Help(command, colors);
    }
}
