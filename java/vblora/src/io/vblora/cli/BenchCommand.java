package io.vblora.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Measures what the native side can do on this machine. */
@Command(name = "bench", mixinStandardHelpOptions = true, versionProvider = Main.Version.class,
        subcommands = BenchKernelsCommand.class, description = "Measures on this machine.",
        footer = {"", "In a checkout, './vblora bench admixture' measures a training step on the CPU beside PEFT's way "
                + "in libtorch."})
final class BenchCommand implements Runnable {
    @Spec
    private CommandSpec spec;

    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), "No benchmark given; expected kernels");
    }
}
