package io.vblora.bench;

import java.io.PrintWriter;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;

/** The command {@code vblora bench}. Exit code 0: done; 1: failed; 2: wrong use. */
@Command(name = "vblora bench", subcommands = AdmixtureCommand.class,
        description = "Measures parts of vblora beside other libraries.")
public final class BenchMain implements Runnable {
    @Option(names = {"-h", "--help"}, usageHelp = true, scope = ScopeType.INHERIT, description = "Print this help.")
    private boolean help;

    @Spec
    private CommandSpec spec;

    private BenchMain() {}

    public static void main(String[] args) {
        System.exit(execute(new PrintWriter(System.out, true), new PrintWriter(System.err, true), args));
    }

    /** Runs a command line and returns its exit code. */
    static int execute(PrintWriter out, PrintWriter err, String... args) {
        return new CommandLine(new BenchMain()).setUsageHelpAutoWidth(true).setOut(out).setErr(err)
                .setExecutionExceptionHandler((e, failed, parsed) -> {
                    failed.getErr().println("vblora: error: " + e);
                    return ExitCode.SOFTWARE;
                })
                .registerConverter(AdaptedModel.class, AdmixtureCommand::model)
                .execute(args);
    }

    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), "No benchmark given");
    }
}
