package io.vblora.cli;

import io.vblora.InputException;
import io.vblora.adapter.AdaptedModule;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.ModuleShape;
import io.vblora.blas.Blas;
import io.vblora.cli.AdapterOptions.Method;
import io.vblora.data.CausalLmFile;
import io.vblora.data.Example;
import io.vblora.data.Tokenizer;
import io.vblora.kernels.Stream;
import io.vblora.model.Execution;
import io.vblora.model.LlamaConfig;
import io.vblora.model.LlamaModel;
import io.vblora.train.CausalLmObjective;
import io.vblora.train.MetricsFile;
import io.vblora.train.Objective;
import io.vblora.train.ProgressListener;
import io.vblora.train.Trainer;
import io.vblora.train.TrainingArguments;
import io.vblora.train.TrainingListener;
import io.vblora.train.TrainingResult;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Help;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.UsageMessageSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/** Trains an adapter on a file of examples and writes it as PEFT does. */
@Command(name = "finetune", mixinStandardHelpOptions = true, versionProvider = Main.Version.class, sortOptions = false,
        customSynopsis = "vblora finetune --model=DIR --train=FILE [--eval=FILE] --output=DIR [OPTION]...",
        description = "Fine-tunes a frozen Llama-type model with a VB-LoRA or LoRA adapter (AdamW, float32 adapter "
                + "weights) and writes the adapter as a folder that Hugging Face PEFT reads.",
        footer = {"", "Progress goes to standard error, the summary to standard output. Interrupted before its end, a "
                + "run writes no adapter."})
final class FinetuneCommand implements Callable<Integer> {
    /** Hugging Face's run_clm cuts examples to this length at most, unless told otherwise. */
    private static final int DEFAULT_MAX_SEQ_LENGTH = 1024;
    /** What the native library takes. */
    private static final int MAX_THREADS = 1024;

    enum Task {
        CAUSAL_LM;

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT).replace('_', '-');
        }
    }

    @Option(names = "--model", required = true, paramLabel = "DIR",
            description = "Hugging Face folder of the model: config.json, model.safetensors or its shards, and "
                    + "tokenizer.json if the data is text.")
    private Path model;

    @Option(names = "--train", required = true, paramLabel = "FILE",
            description = "Training data, UTF-8: text with a document on each line, or JSON Lines whose rows have "
                    + "\"text\", or \"input_ids\" and optional \"labels\" (-100: not counted).")
    private Path train;

    @Option(names = "--eval", paramLabel = "FILE",
            description = "Held-out data in one of the same formats, scored before and after training.")
    private Path eval;

    @Option(names = "--output", required = true, paramLabel = "DIR",
            description = "Folder for the adapter; made if it is not there. An adapter in it is replaced at the end.")
    private Path output;

    @Option(names = "--init-adapter", paramLabel = "DIR",
            description = "Adapter to go on from, with its configuration, which options may repeat but not change; the "
                    + "optimizer begins anew.")
    private Path initAdapter;

    @Option(names = "--metrics", paramLabel = "FILE",
            description = "Write a JSON object for each optimizer step, one on a line: step, loss, learning_rate_*, "
                    + "grad_norm (before clipping), tokens_per_second.")
    private Path metrics;

    @Option(names = "--task", paramLabel = "TASK",
            description = "${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
    private Task task = Task.CAUSAL_LM;

    @Option(names = "--max-seq-length", paramLabel = "N",
            description = "Cut examples to this many tokens (default: " + DEFAULT_MAX_SEQ_LENGTH
                    + ", or the model's max_position_embeddings if that is less).")
    private Integer maxSeqLength;

    @Option(names = "--save-only-topk-weights",
            description = "VB-LoRA: store the selected indices and weights instead of all logits: small, for inference "
                    + "alone.")
    private boolean saveOnlyTopkWeights;

    @Option(names = "--device", paramLabel = "DEVICE",
            description = "${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
    private DeviceOption device = DeviceOption.AUTO;

    @Option(names = "--dtype", paramLabel = "TYPE",
            description = "Type in which the frozen weights are held: ${COMPLETION-CANDIDATES}; auto is as they are "
                    + "stored (default: ${DEFAULT-VALUE}).")
    private DtypeOption dtype = DtypeOption.AUTO;

    @Option(names = "--threads", paramLabel = "N",
            description = "CPU threads; 0 takes all that this process may use (default: ${DEFAULT-VALUE}). Results do "
                    + "not depend on it.")
    private int threads;

    @Mixin
    private AdapterOptions adapterOptions = new AdapterOptions();

    @Mixin
    private TrainingOptions trainingOptions = new TrainingOptions();

    @ParentCommand
    private Main main;

    @Spec
    private CommandSpec spec;

    private Tokenizer tokenizer;

    /** Sets headings above the options for the adapter and for training in the command's help. */
    static void groupOptions(CommandLine commandLine) {
        commandLine.getHelpSectionMap().put(UsageMessageSpec.SECTION_KEY_OPTION_LIST, help -> {
            List<OptionSpec> options = new ArrayList<>(help.commandSpec().options());
            StringBuilder grouped = new StringBuilder();
            for (var heading : List.of(Map.entry("Adapter", "adapterOptions"),
                    Map.entry("Training", "trainingOptions"))) {
                List<OptionSpec> group = help.commandSpec().mixins().get(heading.getValue()).options();
                Set<String> names = group.stream().map(OptionSpec::longestName).collect(Collectors.toSet());
                options.removeIf(option -> names.contains(option.longestName()));
                grouped.append(String.format("%n%s:%n", heading.getKey())).append(list(help, group));
            }
            return list(help, options) + grouped;
        });
    }

    private static String list(Help help, List<OptionSpec> options) {
        Help.Layout layout = help.createDefaultLayout();
        layout.addAllOptions(options, help.parameterLabelRenderer());
        return layout.toString();
    }

    @Override
    public Integer call() {
        TrainingArguments arguments = checked(trainingOptions::arguments);
        requireFolder("--model", model);
        requireFolder("--init-adapter", initAdapter);
        AdapterConfig initial = initAdapter == null ? null : AdapterConfig.read(initAdapter);
        Method method = initial == null ? adapterOptions.method() : Method.of(initial);
        checkMethod(method);
        AdapterConfig config = checked(() -> adapterOptions.config(method, model.toString()));
        if (initial != null) {
            checkAgrees(config, initial);
        }
        check(threads >= 0 && threads <= MAX_THREADS, "--threads: found " + threads + "; expected 0 to " + MAX_THREADS);
        check(maxSeqLength == null || maxSeqLength >= 2, "--max-seq-length: found " + maxSeqLength
                + "; expected at least 2");
        checkGiven();
        checkMetrics();
        try (Stream stream = Stream.on(device.choose(err()), threads)) {
            run(config, arguments, stream);
        } finally {
            if (tokenizer != null) {
                tokenizer.close();
            }
        }
        return ExitCode.OK;
    }

    /** What options say, wrong values of which are wrong use. */
    private <T> T checked(Supplier<T> fromOptions) {
        try {
            return fromOptions.get();
        } catch (InputException e) {
            throw wrongUse(named(e).getMessage());
        }
    }

    /** Refuses options that leave each other without meaning. */
    private void checkGiven() {
        check(!isGiven("--warmup-ratio") || !isGiven("--warmup-steps"), "Both --warmup-ratio and --warmup-steps");
        check(!isGiven("--num-train-epochs") || !isGiven("--max-steps"), "Both --num-train-epochs and --max-steps");
        check(!isGiven("--per-device-eval-batch-size") || eval != null, "--per-device-eval-batch-size without --eval");
    }

    /** Refuses options that contradict the configuration that an initial adapter brings along. */
    private void checkAgrees(AdapterConfig options, AdapterConfig config) {
        for (String option : AdapterOptions.CONFIG) {
            String key = option.substring(2).replace('-', '_');
            double wanted = options.json().path(key).doubleValue();
            double found = config.json().path(key).doubleValue();
            check(!isGiven(option) || wanted == found, option + ": found " + options.json().path(key) + "; expected "
                    + config.json().path(key) + ", as the adapter in " + initAdapter + " has it");
        }
    }

    /** Refuses --target-modules that select other modules than an initial adapter has. */
    private void checkTargets(AdapterConfig options, Adapter adapter, LlamaModel llama) {
        if (initAdapter != null && isGiven("--target-modules")) {
            List<String> wanted = options.modules().select(llama.linears()).stream().map(ModuleShape::path).toList();
            List<String> found = adapter.modules().stream().map(AdaptedModule::path).toList();
            check(wanted.size() == found.size() && found.containsAll(wanted), "--target-modules: found " + wanted.size()
                    + " modules; expected the " + found.size() + " of the adapter in " + initAdapter);
        }
    }

    /** Refuses options that mean nothing to the method. */
    private void checkMethod(Method method) {
        check(!isGiven("--method") || adapterOptions.method() == method, "--method: found " + adapterOptions.method()
                + "; expected " + method + ", as the adapter in " + initAdapter + " is");
        for (String option : method == Method.VBLORA ? AdapterOptions.LORA_ONLY : AdapterOptions.VBLORA_ONLY) {
            check(!isGiven(option), option + " means nothing to --method " + method);
        }
        if (method == Method.VBLORA && isGiven("--learning-rate")) {
            say("--learning-rate has no effect with --method %s and --task %s: the parameters are trained with "
                    + "--learning-rate-vector-bank and --learning-rate-logits", method, task);
        }
    }

    private static void requireFolder(String option, Path folder) {
        if (folder != null && !Files.isDirectory(folder)) {
            throw new InputException(option, "", folder + (Files.exists(folder) ? ", which is not a folder"
                    : ", which does not exist"), "a folder");
        }
    }

    /** Refuses --metrics on a file that the run reads or replaces only at its end: it would be emptied. */
    private void checkMetrics() {
        if (metrics == null) {
            return;
        }
        List<Path> needed = new ArrayList<>(List.of(train, output.resolve(AdapterConfig.FILE_NAME),
                output.resolve(Adapter.WEIGHTS_FILE)));
        if (eval != null) {
            needed.add(eval);
        }
        try {
            needed.addAll(filesIn(model));
            if (initAdapter != null) {
                needed.addAll(filesIn(initAdapter));
            }
            for (Path file : needed) {
                boolean same = metrics.toAbsolutePath().normalize().equals(file.toAbsolutePath().normalize())
                        || Files.exists(metrics) && Files.exists(file) && Files.isSameFile(metrics, file);
                check(!same, "--metrics: found " + metrics + ", which is " + file
                        + " that this command needs; expected another file");
            }
        } catch (IOException e) {
            throw new UncheckedIOException("The files beside --metrics, " + metrics + ", cannot be read: " + e, e);
        }
    }

    private static List<Path> filesIn(Path folder) throws IOException {
        try (var files = Files.list(folder)) {
            return files.toList();
        }
    }

    private boolean isGiven(String option) {
        return spec.commandLine().getParseResult().hasMatchedOption(option);
    }

    private void check(boolean condition, String message) {
        if (!condition) {
            throw wrongUse(message);
        }
    }

    private ParameterException wrongUse(String message) {
        return new ParameterException(spec.commandLine(), message);
    }

    /** Makes the folder, and fails now rather than after the training if it cannot be written. */
    private void prepareOutput() {
        try {
            Files.createDirectories(output);
            Files.delete(Files.createTempFile(output, ".vblora", ".tmp"));
        } catch (IOException e) {
            throw new UncheckedIOException("The folder of --output, " + output + ", cannot be written: " + e, e);
        }
    }

    private void run(AdapterConfig config, TrainingArguments arguments, Stream stream) {
        LlamaConfig modelConfig = LlamaConfig.read(model);
        List<Example> examples = read("training", train, modelConfig);
        List<Example> heldOut = eval == null ? List.of() : read("held-out", eval, modelConfig);
        say("loading %s", model);
        try (LlamaModel llama = LlamaModel.load(model, dtype.dtype(), stream);
                Adapter adapter = initAdapter == null
                        ? newAdapter(config, llama, arguments.seed(), stream)
                        : Adapter.load(initAdapter, stream);
                Execution execution = new Execution(stream, Blas.on(stream.device()))) {
            checkTargets(config, adapter, llama);
            llama.attach(adapter);
            prepareOutput();
            try (MetricsFile metricsFile = metrics == null ? null : new MetricsFile(metrics)) {
                List<TrainingListener> listeners = new ArrayList<>();
                listeners.add(new ProgressListener(main.err(), main.isTerminal()));
                if (metricsFile != null) {
                    listeners.add(metricsFile);
                }
                say("training %,d parameters on %s with %,d threads", adapter.composition().parameterCount(),
                        stream.device(), stream.threads());
                TrainingResult result = new Trainer<>(new CausalLmObjective(llama), execution, arguments, listeners)
                        .train(examples, heldOut);
                save(adapter, stream);
                summarize(adapter, result);
            }
        }
    }

    private Adapter newAdapter(AdapterConfig config, LlamaModel llama, long seed, Stream stream) {
        try {
            return Adapter.create(config, llama.linears(), stream, seed);
        } catch (InputException e) {
            throw named(e);
        }
    }

    /** The exception with the option's name, if it is an option that set the field. */
    private InputException named(InputException e) {
        String option = "--" + e.field().replace('_', '-');
        return spec.findOption(option) == null ? e : new InputException(option, "", e.found(), e.expected(), e);
    }

    private List<Example> read(String what, Path file, LlamaConfig modelConfig) {
        int most = modelConfig.maxPositionEmbeddings();
        if (maxSeqLength != null && maxSeqLength > most) {
            throw new InputException("--max-seq-length", "", maxSeqLength.toString(), "at most " + most
                    + ", the model's max_position_embeddings");
        }
        int length = maxSeqLength == null ? Math.min(DEFAULT_MAX_SEQ_LENGTH, most) : maxSeqLength;
        CausalLmFile data = CausalLmFile.read(file, this::tokenizer, length, modelConfig.vocabSize());
        say("%s data: %s", what, data.summary());
        return data.examples();
    }

    /** The model's tokenizer, opened when it is first needed, or null if it has none. */
    private Tokenizer tokenizer() {
        if (tokenizer == null && Files.exists(model.resolve("tokenizer.json"))) {
            tokenizer = Tokenizer.open(model);
        }
        return tokenizer;
    }

    private void save(Adapter adapter, Stream stream) {
        Main.WRITING.lock();
        try {
            adapter.save(output, saveOnlyTopkWeights, stream);
        } finally {
            Main.WRITING.unlock();
        }
    }

    private void summarize(Adapter adapter, TrainingResult result) {
        PrintWriter out = spec.commandLine().getOut();
        out.printf(Locale.ROOT, "trained         %,d parameters in %,d steps, %,d tokens in %.1f s%n",
                adapter.composition().parameterCount(), result.steps(), result.tokens(), result.seconds());
        out.printf(Locale.ROOT, "training loss   %.6f mean of all steps, %.6f last step%n", result.trainLoss(),
                result.lastLoss());
        if (!result.metricsAfter().isEmpty()) {
            out.printf(Locale.ROOT, "held-out loss   %.6f before, %.6f after%n",
                    result.metricsBefore().get(Objective.EVAL_LOSS), result.metricsAfter().get(Objective.EVAL_LOSS));
        }
        out.printf(Locale.ROOT, "adapter         %s, %,d bytes", output, adapter.storedBytes(saveOnlyTopkWeights));
        if (Method.of(adapter.config()) == Method.VBLORA) {
            out.printf(Locale.ROOT, " %s; %,d %s; LoRA of rank %d on the same modules: %,d",
                    saveOnlyTopkWeights ? "with only top-k weights" : "with all logits",
                    adapter.storedBytes(!saveOnlyTopkWeights),
                    saveOnlyTopkWeights ? "with all logits" : "with only top-k weights",
                    adapter.config().r(), adapter.loraStoredBytes());
        }
        String command = System.getProperty(Main.COMMAND, "vblora");
        out.printf("%nnext            %s inspect %s%n", command, output);
        out.printf("                %s delta --adapter %s --output delta.safetensors%n", command, output);
        out.printf("                in Python: peft.PeftModel.from_pretrained(model, \"%s\")%n", output);
        out.flush();
    }

    private void say(String format, Object... arguments) {
        err().println("vblora: " + String.format(Locale.ROOT, format, arguments) + ".");
        err().flush();
    }

    private PrintWriter err() {
        return spec.commandLine().getErr();
    }
}
