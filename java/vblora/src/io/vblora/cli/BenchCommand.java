package io.vblora.cli;

import io.vblora.PrintableText;
import java.util.List;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Measures what the native side can do on this machine. */
@Command(name = "bench", mixinStandardHelpOptions = true, versionProvider = Main.Version.class,
        subcommands = BenchKernelsCommand.class, description = "Measures how fast things are on this machine.",
        footer = {"", "In a checkout, './vblora bench admixture' measures a training step on the CPU beside PEFT's way "
                + "in libtorch."})
final class BenchCommand implements Runnable {
    @Parameters(hidden = true, arity = "0..*", description = "Anything that is not a subcommand.")
    private List<String> others = List.of();

    @Spec
    private CommandSpec spec;

    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), (others.isEmpty() ? "No benchmark given" : "Benchmark: found "
                + PrintableText.of(others.get(0))) + "; expected kernels, or in a checkout, "
                + "through ./vblora, admixture");
    }
}
