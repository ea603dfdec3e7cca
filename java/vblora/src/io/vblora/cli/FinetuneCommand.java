package io.vblora.cli;

import io.vblora.InputException;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.AdapterFolder;
import io.vblora.adapter.peft.StoredForm;
import io.vblora.blas.Blas;
import io.vblora.data.TokenSequence;
import io.vblora.kernels.Stream;
import io.vblora.model.Execution;
import io.vblora.parameters.ParameterGroup;
import io.vblora.parameters.Trainable;
import io.vblora.train.Ending;
import io.vblora.train.MetricsFile;
import io.vblora.train.Objective;
import io.vblora.train.ProgressListener;
import io.vblora.train.Trainer;
import io.vblora.train.TrainingArguments;
import io.vblora.train.TrainingException;
import io.vblora.train.TrainingListener;
import io.vblora.train.TrainingResult;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/** Trains an adapter on a file of examples and writes it as PEFT does. */
@Command(name = "finetune", mixinStandardHelpOptions = true, versionProvider = Main.Version.class, sortOptions = false,
        customSynopsis = "${COMMAND-FULL-NAME} --model=PATH --train=FILE [--eval=FILE] --output=DIR [OPTION]...",
        description = {"Fine-tunes a frozen model with a ${bundle:methods.titles} adapter and writes the adapter as a "
                + "folder that Hugging Face PEFT reads.",
            "The model is a Llama-type one that predicts the next token (--task causal-lm), or a BERT-type encoder "
                    + "that gives a text, or a pair of texts, a class or a value (--task sequence-classification, "
                    + "sequence-regression). Adapter weights are float32."},
        footer = {"", "Progress goes to standard error, the summary to standard output. A run writes no adapter if it "
                + "is interrupted before its end, or if its loss or parameters do not stay finite to the last step."})
final class FinetuneCommand implements Callable<Integer> {
    @Option(names = "--model", required = true, paramLabel = "PATH",
            description = "The model: a Hugging Face folder (config.json, model.safetensors or its shards, and "
                    + "tokenizer.json if the data is text); an encoder may also be an .onnx file with tokenizer.json "
                    + "beside it, or a folder with model.onnx.")
    private Path model;

    @Option(names = "--train", required = true, paramLabel = "FILE", converter = DataFile.class,
            description = "Training data, UTF-8: a file, a pipe, or - for standard input. causal-lm: text with a "
                    + "document on each line, or JSON Lines whose rows have \"text\", or \"input_ids\" and optional "
                    + "\"labels\" (-100: not counted); with a prompt, csv, tsv, JSON Lines or JSON with columns. "
                    + "Sequences: one of these formats with columns, of which one is the text and one the label.")
    private Path train;

    @Option(names = "--eval", paramLabel = "FILE", converter = DataFile.class,
            description = "Held-out data in the same format, scored before and after training.")
    private Path eval;

    @Option(names = "--output", required = true, paramLabel = "DIR",
            description = "Folder for the adapter, made if it is missing. An adapter in it is replaced at the end.")
    private Path output;

    @Option(names = "--init-adapter", paramLabel = "DIR",
            description = "Adapter to go on from. Options may repeat its configuration but not change it, except for "
                    + "those of a language model's data. The optimizer starts afresh.")
    private Path initAdapter;

    @Option(names = "--metrics", paramLabel = "FILE",
            description = "Write a line with a JSON object for each optimizer step: step, loss, learning_rate_*, "
                    + "grad_norm (before clipping), tokens_per_second; and one for each evaluation.")
    private Path metrics;

    @Option(names = "--task", paramLabel = "TASK",
            description = "${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}, or that of --init-adapter).")
    private Task task = Task.CAUSAL_LM;

    @Option(names = "--pooling", paramLabel = "POOLING",
            description = "Sequences: how the encoder's output becomes one vector: ${COMPLETION-CANDIDATES}; auto is "
                    + "what the model says in 1_Pooling/config.json or its ONNX graph; if it says nothing, cls for "
                    + "RoBERTa's family, otherwise pooler, or mean without a pooler (default: ${DEFAULT-VALUE}).")
    private PoolingOption pooling = PoolingOption.AUTO;

    @Mixin
    private ComputeOptions computeOptions = new ComputeOptions();

    @Mixin
    private DataOptions dataOptions = new DataOptions();

    @Mixin
    private AdapterOptions adapterOptions = new AdapterOptions();

    @Mixin
    private TrainingArguments.Builder trainingOptions = TrainingArguments.builder();

    @ParentCommand
    private Main main;

    @Spec
    private CommandSpec spec;

    private Invocation invocation;
    /** Null if the adapter is a new one. */
    private InitialAdapter initial;
    /** Whether the adapter is stored in its method's compact form. */
    private boolean compact;

    static void groupOptions(CommandLine commandLine) {
        LinkedHashMap<String, String> headings = new LinkedHashMap<>();
        headings.put("dataOptions", "Data");
        headings.put("adapterOptions", "Adapter");
        headings.put("trainingOptions", "Training");
        GroupedHelp.of(commandLine, headings);
    }

    @Override
    public Integer call() {
        invocation = new Invocation(spec);
        adapterOptions.setLearningRates(trainingOptions);
        TrainingArguments arguments = invocation.checked(trainingOptions::build);
        initial = initAdapter == null ? null : InitialAdapter.read(initAdapter);
        Task chosen = chosenTask();
        MethodChoice method = chosenMethod(chosen);
        compact = adapterOptions.isCompact(method);
        AdapterConfig config = invocation.checked(() -> adapterOptions.config(method, chosen, model.toString()));
        if (invocation.isGiven("--learning-rate") && !learnsAtTheCommonRate(method,
                initial == null ? config : initial.config())) {
            invocation.say("--learning-rate has no effect with --method %s: it is that of --bias and "
                    + "--modules-to-save, and of updates without a rate of their own", method);
        }
        if (initial != null) {
            initial.checkAgrees(invocation, adapterOptions.ofConfig(method), config, pooling, dataOptions);
        }
        computeOptions.check(invocation);
        dataOptions.check(invocation);
        checkGiven();
        Invocation.requireModel(chosen, model);
        OutputFolder.checkForAdapter(invocation, output, model);
        ProtectedFiles data = new ProtectedFiles().add("the training data", train).add("the held-out data", eval);
        AdapterFolder.FILES.forEach(name -> data.refuse(invocation, "--output", output.resolve(name)));
        if (metrics != null) {
            data.addModel("the model", model).addAdapter("the adapter to go on from", initAdapter)
                    .addAdapter("the adapter to be written", output).refuse(invocation, "--metrics", metrics);
        }
        try (Stream stream = computeOptions.open(invocation); TaskSession<?> session = session(chosen)) {
            run(session, config, arguments, stream);
        }
        return ExitCode.OK;
    }

    /** Refuses options that mean nothing to the task. */
    private Task chosenTask() {
        Task chosen = initial == null || invocation.isGiven("--task") ? task : initial.trainedTask();
        if (initial != null) {
            initial.agree(invocation, "--task", task, initial.trainedTask(), task == initial.trainedTask());
            dataOptions.follow(initial.causalLm());
        }
        dataOptions.checkTask(invocation, chosen);
        if (!chosen.isSequence()) {
            invocation.refuse(List.of("--pooling", "--learning-rate-head"), "to --task " + chosen);
        }
        return chosen;
    }

    /** Refuses options that mean nothing to the method, and a method that means nothing to the task. */
    private MethodChoice chosenMethod(Task chosen) {
        MethodChoice given = adapterOptions.method();
        MethodChoice method = initial == null ? given : MethodChoice.of(initial.config());
        if (initial != null) {
            initial.agree(invocation, "--method", given, method, given.name().equals(method.name()));
        }
        invocation.check(!method.isHeadAlone() || chosen.isSequence(), "--method head means nothing to --task "
                + chosen);
        invocation.refuse(method.meaningless(), "to --method " + method);
        return method;
    }

    /** Whether anything learns at --learning-rate: updates, or biases or modules of the base model. */
    private static boolean learnsAtTheCommonRate(MethodChoice method, AdapterConfig config) {
        return method.learnsAt(ParameterGroup.MATRICES.learningRate()) || !config.bias().equals("none")
                || !AdapterOptions.HEAD_MODULES.containsAll(config.modulesToSave());
    }

    /** Refuses options that make each other meaningless. */
    private void checkGiven() {
        invocation.check(!invocation.isGiven("--warmup-ratio") || !invocation.isGiven("--warmup-steps"),
                "Both --warmup-ratio and --warmup-steps are given; expected one of them");
        invocation.check(!invocation.isGiven("--num-train-epochs") || !invocation.isGiven("--max-steps"),
                "Both --num-train-epochs and --max-steps are given; expected one of them");
        invocation.check(eval == null || !DataFile.areOnePipe(train, eval), "--eval: found " + eval + ", the pipe that "
                + "--train reads to its end; expected another file");
        for (OptionSpec option : spec.mixins().get("trainingOptions").mixins().get("evaluation").options()) {
            invocation.check(!invocation.isGiven(option.longestName()) || eval != null, option.longestName()
                    + " without --eval; expected --eval with held-out data");
        }
    }

    private TaskSession<?> session(Task chosen) {
        if (!chosen.isSequence()) {
            return new CausalLmSession(model, dataOptions, invocation);
        }
        return initial == null ? new SequenceSession(model, chosen, pooling.pooling(), dataOptions, invocation)
                : new SequenceSession(model, initial.task(), true, dataOptions, invocation);
    }

    private <E extends TokenSequence> void run(TaskSession<E> session, AdapterConfig config,
            TrainingArguments arguments, Stream stream) {
        List<E> examples = session.read("training", train);
        List<E> heldOut = eval == null ? List.of() : session.read("held-out", eval);
        invocation.say("loading %s", model);
        session.load(computeOptions.dtype(), stream);
        try (Adapter adapter = initial == null ? newAdapter(session, config, arguments.seed(), stream)
                : initial.folder().load(session.model().parameters(), stream);
                Execution execution = new Execution(stream, Blas.on(stream.device()))) {
            if (initial != null) {
                initial.checkTargets(invocation, config, adapter, session.model().linears());
            }
            Objective<E> objective = session.attach(adapter);
            invocation.sayNotes(adapter);
            try (OutputFolder folder = new OutputFolder(output);
                    MetricsFile metricsFile = metrics == null ? null : new MetricsFile(metrics)) {
                invocation.say("training %s on %s with %s", Invocation.count(parameters(adapter), "parameter"),
                        stream.device(), Invocation.count(stream.threads(), "thread"));
                List<TrainingListener> listeners = new ArrayList<>();
                listeners.add(new ProgressListener(main.err()));
                if (metricsFile != null) {
                    listeners.add(metricsFile);
                }
                TrainingResult result = train(new Trainer<>(objective, execution, arguments, listeners), examples,
                        heldOut);
                requireUninterrupted(result);
                Main.write(() -> adapter.save(output, compact, stream));
                summarize(adapter, result, arguments);
            }
        }
    }

    private <E extends TokenSequence> TrainingResult train(Trainer<E> trainer, List<E> examples, List<E> heldOut) {
        try {
            return trainer.train(examples, heldOut);
        } catch (InputException e) { // about --metric-for-best-model: the first evaluation shows which scores there are
            throw invocation.named(e);
        }
    }

    /** @throws TrainingException if the run was interrupted: its adapter is not what was asked for */
    static void requireUninterrupted(TrainingResult result) {
        if (result.ending() == Ending.INTERRUPTED) {
            throw new TrainingException("Interrupted after step " + result.steps() + ": no adapter is written");
        }
    }

    private Adapter newAdapter(TaskSession<?> session, AdapterConfig config, long seed, Stream stream) {
        try {
            return session.newAdapter(adapterOptions.fitting(config, session.model().linears(), invocation), stream,
                    seed);
        } catch (InputException e) {
            throw invocation.named(e);
        }
    }

    private static long parameters(Adapter adapter) {
        return adapter.trainables().stream().mapToLong(Trainable::parameterCount).sum();
    }

    private void summarize(Adapter adapter, TrainingResult result, TrainingArguments arguments) {
        Summary summary = new Summary();
        summary.line("trained", "%,d parameters in %,d steps, %,d tokens in %.1f s", parameters(adapter),
                result.steps(), result.tokens(), result.seconds());
        if (result.ending() == Ending.DIVERGED) {
            summary.line("ended early", "the loss or the parameters were no longer finite after step %,d; lower the "
                    + "learning rates", result.steps());
        }
        summary.line("training loss", "%.6f mean of all steps, %.6f last step", result.trainLoss(), result.lastLoss());
        result.metricsBefore().forEach((name, before) -> summary.line(Summary.heldOut(name), "%.6f before, %.6f after",
                before, result.metricsAfter().get(name)));
        if (arguments.evaluation().loadBestModelAtEnd()) {
            summary.line("best", "the parameters after step %,d, by %s", result.bestStep(),
                    arguments.evaluation().metricForBestModel());
        }
        summary.line("adapter", "%s, %,d bytes%s", output, adapter.storedBytes(compact),
                adapter.config().method().isComparedWithLora() ? beside(adapter) : "");
        String command = Invocation.command();
        summary.line("next", "%s evaluate --model %s --adapter %s --data FILE%s", command, model, output,
                invocation.again(DataOptions.OF_FILES));
        summary.line("", "%s inspect %s", command, output);
        if (!adapter.modules().isEmpty()) {
            summary.line("", "%s delta --adapter %s --output delta.safetensors", command, output);
        }
        if (!adapter.wholeParameters().holdHead()) { // that Python's model must pool for
            summary.line("", "in Python: peft.PeftModel.from_pretrained(model, \"%s\")", output);
        }
        summary.print(invocation.out());
    }

    /** What other ways of storing the same updates would take. */
    private String beside(Adapter adapter) {
        List<StoredForm> forms = adapter.config().method().forms();
        StoredForm form = forms.get(compact ? 1 : 0);
        StringBuilder beside = new StringBuilder(" " + form.name());
        forms.stream().filter(other -> !other.equals(form)).forEach(other -> beside.append(
                String.format(Locale.ROOT, "; %,d %s", adapter.storedBytes(other), other.name())));
        return beside + String.format(Locale.ROOT, "; LoRA of rank %d on the same modules: %,d", adapter.config().r(),
                adapter.loraStoredBytes());
    }
}
