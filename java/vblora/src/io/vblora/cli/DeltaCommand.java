package io.vblora.cli;

import io.vblora.adapter.Adapter;
import io.vblora.adapter.AdapterConfig;
import io.vblora.kernels.Stream;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Writes the weights that an adapter adds to its base model. */
@Command(name = "delta", mixinStandardHelpOptions = true, versionProvider = Main.Version.class,
        description = {"Writes what an adapter adds to the weight of each module.",
            "The output is a safetensors file with a float32 tensor under each module's path, of the shape in which "
                    + "the base model stores the weight. The base model is not needed, so what the adapter holds whole "
                    + "is left out: modules to save, and biases."})
final class DeltaCommand implements Callable<Integer> {
    @Option(names = "--adapter", required = true, paramLabel = "DIR", description = "The adapter's folder.")
    private Path adapter;

    @Option(names = "--output", required = true, paramLabel = "FILE.safetensors",
            description = "The file to write; an existing one is replaced. Its folder must exist.")
    private Path output;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() {
        Invocation.requireAdapter("--adapter", adapter);
        OutputFile.check("--output", output);
        Invocation invocation = new Invocation(spec);
        new ProtectedFiles().addAdapter("the adapter", adapter).addModel("the adapter's base model", baseModel())
                .refuse(invocation, "--output", output);
        try (Stream stream = Stream.cpu(0); Adapter loaded = Adapter.load(adapter, stream)) {
            new Invocation(spec).sayNotes(loaded);
            loaded.writeDelta(output, stream);
            List<String> whole = loaded.wholeParameters().names();
            if (!whole.isEmpty()) {
                invocation.say("%s that the adapter holds whole, as %s, %s not in the file: without the base model "
                        + "nobody knows what that changes", Invocation.count(whole.size(), "parameter"), whole.get(0),
                        whole.size() == 1 ? "is" : "are");
            }
            PrintWriter out = invocation.out();
            out.printf(Locale.ROOT, "%,d modules written to %s%n", loaded.modules().size(), output);
            out.flush();
        }
        return ExitCode.OK;
    }

    /** What the adapter names as its base model, which may be a folder on this machine, or null. */
    private Path baseModel() {
        String name = AdapterConfig.read(adapter).baseModelNameOrPath();
        return name == null || name.isEmpty() || name.indexOf('\0') >= 0 ? null : Path.of(name);
    }
}
