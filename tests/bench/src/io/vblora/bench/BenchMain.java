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
        CommandLine commandLine = new CommandLine(new BenchMain()).setUsageHelpAutoWidth(true)
                .setOut(new PrintWriter(System.out, true))
                .setErr(new PrintWriter(System.err, true))
                .setExecutionExceptionHandler((e, failed, parsed) -> {
                    failed.getErr().println("vblora: error: " + e);
                    return ExitCode.SOFTWARE;
                });
        commandLine.registerConverter(AdaptedModel.class, AdmixtureCommand::model);
        System.exit(commandLine.execute(args));
    }

    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), "No benchmark given");
    }
}
