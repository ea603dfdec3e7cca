package io.vblora.cli;

import io.vblora.InputException;
import io.vblora.IoReason;
import io.vblora.adapter.Adapter;
import io.vblora.blas.Blas;
import io.vblora.data.Overlong;
import io.vblora.data.SequenceColumns;
import io.vblora.data.SequenceExample;
import io.vblora.data.SequenceFile;
import io.vblora.data.TableFormat;
import io.vblora.data.Tokenizer;
import io.vblora.kernels.Stream;
import io.vblora.model.BertModel;
import io.vblora.model.Execution;
import io.vblora.model.ProblemType;
import io.vblora.model.SequenceConfig;
import io.vblora.model.SequenceModel;
import io.vblora.model.config.BertConfig;
import io.vblora.parameters.Trainable;
import io.vblora.train.Objective;
import io.vblora.train.ProgressListener;
import io.vblora.train.SequenceObjective;
import io.vblora.train.Trainer;
import io.vblora.train.TrainingListener;
import io.vblora.train.TrainingResult;
import io.vblora.weights.AtomicFile;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/** Tunes a sentence encoder, in each of the ways, on the intents that are shipped, and compares the results. */
@Command(name = "demo", mixinStandardHelpOptions = true, versionProvider = Main.Version.class, sortOptions = false,
        description = {"Teaches a sentence encoder what customers of an online shop want, in three ways.",
            "It trains a classifier on the frozen encoder, then LoRA, then VB-LoRA, on messages of 12 intents that are "
                    + "shipped with vblora, and shows how well each does on messages that it has not seen, and how "
                    + "many bytes it stores. In a checkout './vblora demo' fetches the encoder, all-MiniLM-L6-v2, and "
                    + "writes into build/demo."})
final class DemoCommand implements Callable<Integer> {
    private static final String TRAIN = "train.csv";
    private static final String HELD_OUT = "held-out.csv";
    private static final String LABEL = "intent";
    private static final int MAX_SEQ_LENGTH = 128;

    /** Messages that are in neither file. */
    private static final List<String> SENTENCES = List.of(
            "I moved last week, can the driver still bring it to my new flat?",
            "Four cups on the picture, three cups in the box.",
            "my bank says no when I press the pay button");

    @Option(names = "--model", required = true, paramLabel = "PATH",
            description = "The encoder: a folder with model.onnx and tokenizer.json, or any that finetune takes.")
    private Path model;

    @Option(names = "--output", paramLabel = "DIR",
            description = "Folder for the data and the adapters; adapters of an earlier run are replaced (default: "
                    + "${DEFAULT-VALUE}).")
    private Path output = Path.of("vblora-demo");

    @Mixin
    private ComputeOptions computeOptions = new ComputeOptions();

    @ParentCommand
    private Main main;

    @Spec
    private CommandSpec spec;

    private Invocation invocation;
    private PrintWriter out;

    /** How well a method did. */
    private record Outcome(DemoRecipe recipe, double accuracy, long parameters, long storedBytes, double seconds) {}

    @Override
    public Integer call() {
        invocation = new Invocation(spec);
        computeOptions.check(invocation);
        out = invocation.out();
        Invocation.requireModel(Task.SEQUENCE_CLASSIFICATION, model);
        try (OutputFolder folder = new OutputFolder(output);
                Stream stream = computeOptions.open(invocation);
                LazyTokenizer tokenizer = new LazyTokenizer(model)) {
            run(tokenizer.get(), stream);
        }
        return ExitCode.OK;
    }

    private void run(Tokenizer tokenizer, Stream stream) {
        BertConfig config = BertModel.config(model);
        SequenceFile train = read(TRAIN, tokenizer, config, null);
        SequenceFile heldOut = read(HELD_OUT, tokenizer, config, train.labels());
        out.printf("Messages to an online shop: %d to learn from, %d held out, %d intents.%n", train.examples().size(),
                heldOut.examples().size(), train.labels().size());
        SequenceConfig task = new SequenceConfig(ProblemType.SINGLE_LABEL_CLASSIFICATION, null, train.labels(),
                MAX_SEQ_LENGTH);
        try (SequenceModel encoder = SequenceModel.load(model, task, computeOptions.dtype(), stream);
                Execution execution = new Execution(stream, Blas.on(stream.device()))) {
            List<DemoRecipe> recipes = DemoRecipe.all();
            List<Outcome> outcomes = new ArrayList<>();
            for (DemoRecipe recipe : recipes) {
                out.printf("%n%d/%d %s%n", outcomes.size() + 1, recipes.size(), recipe.description());
                out.flush();
                outcomes.add(train(recipe, encoder, execution, train.examples(), heldOut.examples()));
            }
            printTable(outcomes);
            DemoRecipe last = recipes.get(recipes.size() - 1);
            classify(last, encoder, execution, tokenizer);
            printNext(last);
        }
    }

    /** Writes shipped data into the output folder and reads it from there, as it would read anyone's own file. */
    private SequenceFile read(String name, Tokenizer tokenizer, BertConfig config, List<String> labels) {
        Path file = output.resolve(name);
        try (InputStream shipped = DemoCommand.class.getResourceAsStream("/io/vblora/demo/" + name)) {
            byte[] data = shipped.readAllBytes();
            if (!Files.exists(file)) {
                AtomicFile.write(file, data);
            } else if (!Arrays.equals(data, Files.readAllBytes(file))) {
                throw new InputException("--output", "", file + ", which is not the demo's", "a folder without such a "
                        + "file, to write it there");
            }
        } catch (IOException e) {
            throw new UncheckedIOException("The demo's data cannot be read: " + IoReason.of(e), e);
        }
        return SequenceFile.readClassification(file, TableFormat.CSV, new SequenceColumns("text", null, LABEL),
                tokenizer, MAX_SEQ_LENGTH, Overlong.CUT, config, labels);
    }

    private Outcome train(DemoRecipe recipe, SequenceModel encoder, Execution execution, List<SequenceExample> examples,
            List<SequenceExample> heldOut) {
        Stream stream = execution.stream();
        try (Adapter adapter = Adapter.create(recipe.config(), encoder.linears(), encoder.parameters(),
                encoder.initializerRange(), stream, recipe.arguments().seed())) {
            encoder.attach(adapter);
            long start = System.nanoTime();
            List<TrainingListener> progress = List.of(new ProgressListener(main.err()));
            TrainingResult result = new Trainer<>(new SequenceObjective(encoder), execution, recipe.arguments(),
                    progress).train(examples, heldOut);
            FinetuneCommand.requireUninterrupted(result);
            double seconds = (System.nanoTime() - start) * 1e-9;
            double accuracy = result.metricsAfter().get("accuracy");
            out.printf(Locale.ROOT, "    held-out loss %.3f before, %.3f after; held-out accuracy %.1f %% before, "
                    + "%.1f %% after%n", result.metricsBefore().get(Objective.EVAL_LOSS),
                    result.metricsAfter().get(Objective.EVAL_LOSS), 100 * result.metricsBefore().get("accuracy"),
                    100 * accuracy);
            out.flush();
            Path folder = output.resolve(recipe.folder());
            Main.write(() -> adapter.save(folder, recipe.isStoredCompact(), stream));
            return new Outcome(recipe, accuracy,
                    adapter.trainables().stream().mapToLong(Trainable::parameterCount).sum(),
                    adapter.storedBytes(recipe.isStoredCompact()), seconds);
        } finally {
            encoder.detach();
        }
    }

    /** Prints the table. The stored bytes of the head are the same for all, and the first outcome is the head alone. */
    private void printTable(List<Outcome> outcomes) {
        long headBytes = outcomes.get(0).storedBytes();
        out.printf("%n%-12s %18s %20s %14s %10s %9s%n", "", "held-out accuracy", "trained parameters",
                "stored bytes", "+ head", "seconds");
        for (Outcome outcome : outcomes) {
            out.printf(Locale.ROOT, "%-12s %16.1f %% %,20d %,14d %,10d %9.1f%n", outcome.recipe().title(),
                    100 * outcome.accuracy(), outcome.parameters(), outcome.storedBytes() - headBytes, headBytes,
                    outcome.seconds());
        }
        out.flush();
    }

    /** Classifies messages that are in no file, with the adapter as it was stored. */
    private void classify(DemoRecipe recipe, SequenceModel encoder, Execution execution, Tokenizer tokenizer) {
        try (Adapter adapter = Adapter.load(output.resolve(recipe.folder()), encoder.parameters(),
                execution.stream())) {
            encoder.attach(adapter);
            List<SequenceExample> examples = SENTENCES.stream()
                    .map(sentence -> tokenizer.encode(sentence, null, MAX_SEQ_LENGTH))
                    .map(encoded -> new SequenceExample(encoded.inputIds(), encoded.tokenTypeIds(), Float.NaN))
                    .toList();
            Predictions predictions = new Predictions(encoder.config(), new SequenceObjective(encoder)
                    .logits(execution, examples, examples.size(), scored -> {}));
            out.printf("%nThe model tuned with %s, loaded from %s, on messages that are in no file:%n", recipe.title(),
                    output.resolve(recipe.folder()));
            for (int i = 0; i < SENTENCES.size(); i++) {
                int label = predictions.label(i);
                out.printf(Locale.ROOT, "  %-66s %-16s %3.0f %%%n", SENTENCES.get(i),
                        encoder.config().labels().get(label), 100 * predictions.probabilities(i)[label]);
            }
            out.flush();
        } finally {
            encoder.detach();
        }
    }

    private void printNext(DemoRecipe recipe) {
        String command = Invocation.command();
        Path adapter = output.resolve(recipe.folder());
        out.printf("%nNext:%n");
        out.printf("  score it again      %s evaluate --model %s --adapter %s \\%n"
                + "                          --data %s --label-column %s%n", command, model, adapter,
                output.resolve(HELD_OUT), LABEL);
        out.printf("  what is stored      %s inspect %s%n", command, adapter);
        out.printf("  your own texts      %s finetune --task sequence-classification --model %s \\%n"
                + "                          --train YOURS.csv --text-column text --label-column label \\%n"
                + "                          --output YOUR-ADAPTER \\%n"
                + "                          %s%n", command, model,
                String.join(" \\\n                          ", recipe.options()));
        out.flush();
    }
}
