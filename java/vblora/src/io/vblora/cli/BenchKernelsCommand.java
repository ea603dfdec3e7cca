package io.vblora.cli;

import io.vblora.IoReason;
import io.vblora.kernels.Device;
import io.vblora.weights.AtomicFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Times the kernels through vblora-bench, and launches of kernels from Java. */
@Command(name = "kernels", mixinStandardHelpOptions = true, versionProvider = Main.Version.class,
        description = "Times the kernels of a training step of the admixture, for all sub-vectors of a model at once, "
                + "and the low-rank products of one layer, beside a copy within the device: RoBERTa-base (r 4, 90 bank "
                + "vectors), Llama-3.2-3B's q and v (r 4, 256), Llama-2-7B's linear layers (r 4, 2048) and "
                + "Llama-2-13B's (r 6, 2048); with selections that are uniform, of Zipf's law, or the same for all; "
                + "launched one by one and replayed from a graph; with caches cold and warm. Prints medians and the "
                + "10th and 90th percentile, and then how long launching a kernel takes from Java.",
        footer = {"", "The program vblora-bench, which does the work, needs no Java; its --help explains the table."})
final class BenchKernelsCommand implements Callable<Integer> {
    @Mixin
    private KernelDeviceOption device;

    @Option(names = "--shape", paramLabel = "NAME",
            description = "Time only this shape: roberta-base, llama-3.2-3b-qv, llama-2-7b or llama-2-13b.")
    private String shape;

    @Option(names = "--op", paramLabel = "NAME", description = "Time only this op, named as in the table.")
    private String op;

    @Option(names = "--repetitions", paramLabel = "N",
            description = "Repetitions of each measurement (default: 50; 3 with --quick).")
    private Integer repetitions;

    @Option(names = "--quick", description = "Small shapes and one repetition, to see whether everything runs.")
    private boolean quick;

    @Option(names = "--csv", paramLabel = "FILE", description = "Also write the table as comma-separated values.")
    private Path csv;

    @Option(names = "--svg", paramLabel = "FILE",
            description = "Draw how near each kernel comes to the device's bandwidth.")
    private Path svg;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() {
        Invocation invocation = new Invocation(spec);
        invocation.check(repetitions == null || repetitions >= 1,
                "--repetitions: found " + repetitions + "; expected at least 1");
        String name = device.name(invocation);
        List<String> arguments = new ArrayList<>(List.of("--device", name));
        add(arguments, "--shape", shape);
        add(arguments, "--op", op);
        add(arguments, "--repetitions", repetitions);
        add(arguments, "--csv", csv);
        add(arguments, "--svg", svg);
        if (quick) {
            arguments.add("--quick");
        }
        KernelBench.run(arguments, invocation);
        if (name.startsWith("cuda") && shape == null && (op == null || op.equals("launch"))) {
            Device measured = Device.cuda(Integer.parseInt(name.equals("cuda") ? "0" : name.replace("cuda:", "")));
            LaunchTimes times = LaunchTimes.measure(measured, repetitions != null ? repetitions : quick ? 3 : 50);
            invocation.out().printf(Locale.ROOT, "%nLaunching a kernel from Java takes %.2f us (10th percentile %.2f, "
                    + "90th %.2f), without a graph.%n", times.median(), times.low(), times.high());
            append(times, measured);
        }
        return ExitCode.OK;
    }

    private static void add(List<String> arguments, String option, Object value) {
        if (value != null) {
            arguments.addAll(List.of(option, value.toString()));
        }
    }

    /** In the form in which vblora-bench writes its own launches; there is no bandwidth. */
    private void append(LaunchTimes times, Device measured) {
        if (csv == null) {
            return;
        }
        String row = String.format(Locale.ROOT,
                "-,launch_java,bfloat16,-,1,1,1,1,%d,eager,warm,ok,%d,%.3f,%.3f,%.3f,6,,,,,,,%n", measured.index(),
                times.repetitions(), times.median(), times.low(), times.high());
        try {
            String table = Files.isRegularFile(csv) ? Files.readString(csv) : "";
            AtomicFile.write(csv, (table + row).getBytes(StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new UncheckedIOException(csv + " could not be read: " + IoReason.of(e), e);
        }
    }
}
