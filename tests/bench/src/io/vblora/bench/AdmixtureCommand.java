package io.vblora.bench;

import io.vblora.kernels.Stream;
import io.vblora.weights.AtomicFile;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.global.torch;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.Options;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.VerboseMode;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/**
 * Runs {@link AdmixtureBenchmark} in pairs: in every round, for every case, ours and libtorch one after the other, each
 * in a JVM of its own, so that what else the machine does meets both.
 */
@Command(name = "admixture",
        description = "A training step of the admixture without the model (forward, backward, AdamW), beside what PEFT "
                + "does, in libtorch, on the CPU. First both are checked against each other.")
final class AdmixtureCommand implements Callable<Integer> {
    private static final int SMALL_BANK = 90;

    @Option(names = "--model", paramLabel = "NAME", split = ",",
            description = "roberta-base: its 72 linear layers; llama2-7b-layer: the 7 of one layer. r 4, b 256, k 2 "
                    + "(default: both).")
    private List<AdaptedModel> models = List.of(AdaptedModel.values());

    @Option(names = "--num-vectors", paramLabel = "H", split = ",",
            description = "Vectors in the bank (default: 90, and 1024 or 2048).")
    private List<Integer> numVectors = List.of();

    @Option(names = "--threads", paramLabel = "N", split = ",",
            description = "CPU threads of both (default: 1 and 2).")
    private List<Integer> threads = List.of(1, 2);

    @Option(names = "--active-entries", paramLabel = "N",
            description = "Logits of each row that were selected before, which are what an active-set step goes "
                    + "through (default: ${DEFAULT-VALUE}).")
    private int activeEntries = 64;

    @Option(names = "--rounds", paramLabel = "N", description = "Pairs per case (default: ${DEFAULT-VALUE}).")
    private int rounds = 5;

    @Option(names = "--quick", description = "One round of short runs, to see that it works.")
    private boolean quick;

    @Option(names = "--csv", paramLabel = "FILE", description = "Write every measured batch to a CSV file.")
    private Path csv;

    @Spec
    private CommandSpec spec;

    private record Case(AdaptedModel model, int numVectors, int threads) {
        @Override
        public String toString() {
            return String.format("%-15s  num_vectors %4d  threads %d", model, numVectors, threads);
        }
    }

    /** What a case took: in each round the median of its batches, ms per step. */
    private record Times(Case measured, List<Double> vblora, List<Double> libtorch) {
        List<Double> ratios() {
            List<Double> ratios = new ArrayList<>();
            for (int i = 0; i < vblora.size(); i++) {
                ratios.add(libtorch.get(i) / vblora.get(i));
            }
            return ratios;
        }

        @Override
        public String toString() {
            return String.format("%-15s  %11d  %7d  %-24s  %-24s  %s", measured.model, measured.numVectors,
                    measured.threads, summary(vblora, "%.3f"), summary(libtorch, "%.2f"), summary(ratios(), "%.1f"));
        }
    }

    static AdaptedModel model(String name) {
        return Arrays.stream(AdaptedModel.values()).filter(model -> model.toString().equals(name)).findFirst()
                .orElseThrow(() -> new TypeConversionException("found " + name + "; expected "
                        + Arrays.stream(AdaptedModel.values()).map(Object::toString)
                                .collect(Collectors.joining(" or "))));
    }

    @Override
    public Integer call() throws RunnerException {
        check(rounds >= 1, "--rounds: found " + rounds + "; expected at least 1");
        check(activeEntries >= VbLoraStep.TOPK, "--active-entries: found " + activeEntries + "; expected at least "
                + VbLoraStep.TOPK);
        threads.forEach(n -> check(n >= 1 && n <= 1024, "--threads: found " + n + "; expected 1 to 1024"));
        numVectors.forEach(h -> check(h >= VbLoraStep.TOPK && h <= 1 << 16, "--num-vectors: found " + h
                + "; expected 2 to 65536"));
        check(csv == null || canBeWritten(csv), "--csv: found " + csv + "; expected a file in a folder that is there");
        PrintWriter out = spec.commandLine().getOut();
        PrintWriter err = spec.commandLine().getErr();
        List<Times> all = new ArrayList<>();
        out.printf("instruction set: %s; libtorch's: %s%n", Stream.cpuInstructionSet(),
                torch.get_cpu_capability().getString());
        for (AdaptedModel model : models) {
            for (int h : numVectors.isEmpty() ? List.of(SMALL_BANK, model.numVectors()) : numVectors) {
                out.println(checkAgreement(model, h));
                threads.forEach(n -> all.add(new Times(new Case(model, h, n), new ArrayList<>(), new ArrayList<>())));
            }
        }
        StringBuilder table = new StringBuilder("model,num_vectors,threads,round,implementation,batch,ms_per_step\n");
        for (int round = 1; round <= (quick ? 1 : rounds); round++) {
            for (Times times : all) {
                double own = measure("vblora", times.measured, round, table);
                double other = measure("libtorch", times.measured, round, table);
                times.vblora.add(own);
                times.libtorch.add(other);
                err.printf("round %d  %s  %.3f ms, %.2f ms%n", round, times.measured, own, other);
            }
        }
        if (csv != null) {
            AtomicFile.write(csv, table.toString().getBytes(StandardCharsets.UTF_8));
        }
        out.printf("%n%-15s  %11s  %7s  %-24s  %-24s  %s%n", "model", "num_vectors", "threads", "vblora, ms",
                "libtorch, ms", "ratio");
        all.forEach(out::println);
        return 0;
    }

    private void check(boolean condition, String message) {
        if (!condition) {
            throw new ParameterException(spec.commandLine(), message);
        }
    }

    private static boolean canBeWritten(Path file) {
        return Files.isDirectory(file.toAbsolutePath().getParent()) && !Files.isDirectory(file);
    }

    private static String checkAgreement(AdaptedModel model, int numVectors) {
        try (PointerScope scope = new PointerScope();
                VbLoraStep ours = new VbLoraStep(model, numVectors, 1, AdmixtureBenchmark.SEED);
                Gradients gradients = new Gradients(ours.composition().packed().elements(), AdmixtureBenchmark.SEED)) {
            PeftStep peft = new PeftStep(ours, VbLoraStep.TOPK, 1);
            return String.format("%s, num_vectors %d: %d modules, %d sub-vectors; %s", model, numVectors,
                    ours.adapter().modules().size(), ours.rows(), Agreement.check(ours, peft, gradients));
        }
    }

    /** Runs one benchmark in a JVM of its own; the median of its batches, in ms per step. */
    private double measure(String implementation, Case measured, int round, StringBuilder table)
            throws RunnerException {
        int steps = quick ? 5 : 20;
        Options options = new OptionsBuilder()
                .include("\\." + AdmixtureBenchmark.class.getSimpleName() + "\\." + implementation + "$")
                .param("model", measured.model.name())
                .param("numVectors", Integer.toString(measured.numVectors))
                .param("threads", Integer.toString(measured.threads))
                .param("activeEntries", Integer.toString(activeEntries))
                .forks(1).threads(1).warmupIterations(quick ? 1 : 5).warmupBatchSize(steps)
                .measurementIterations(quick ? 3 : 11).measurementBatchSize(steps)
                .shouldFailOnError(true).verbosity(VerboseMode.SILENT).build();
        Collection<RunResult> results = new Runner(options).run();
        List<Double> batches = new ArrayList<>();
        for (RunResult result : results) {
            result.getAggregatedResult().getIterationResults()
                    .forEach(batch -> batches.add(batch.getPrimaryResult().getScore() / steps));
        }
        for (int i = 0; i < batches.size(); i++) {
            table.append(String.format(Locale.ROOT, "%s,%d,%d,%d,%s,%d,%.6f%n", measured.model, measured.numVectors,
                    measured.threads, round, implementation, i + 1, batches.get(i)));
        }
        return median(batches);
    }

    private static double median(List<Double> values) {
        double[] sorted = values.stream().mapToDouble(v -> v).sorted().toArray();
        int middle = sorted.length / 2;
        return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }

    /** The median, and the lowest and highest. */
    private static String summary(List<Double> values, String format) {
        double[] sorted = values.stream().mapToDouble(v -> v).sorted().toArray();
        return String.format(format + " (" + format + "–" + format + ")", median(values), sorted[0],
                sorted[sorted.length - 1]);
    }
}
