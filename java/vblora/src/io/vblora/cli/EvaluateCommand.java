package io.vblora.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.vblora.InputException;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.AdapterFolder;
import io.vblora.blas.Blas;
import io.vblora.data.CausalLmConfig;
import io.vblora.data.TokenSequence;
import io.vblora.kernels.Stream;
import io.vblora.model.BertModel;
import io.vblora.model.Execution;
import io.vblora.model.SequenceConfig;
import io.vblora.train.Objective;
import io.vblora.train.SequenceObjective;
import io.vblora.train.TrainingArguments;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Scores a model with an adapter, or a language model alone, on a file of examples. */
@Command(name = "evaluate", mixinStandardHelpOptions = true, versionProvider = Main.Version.class, sortOptions = false,
        customSynopsis = "${COMMAND-FULL-NAME} --model=PATH [--adapter=DIR] --data=FILE [OPTION]...",
        description = {"Scores a model with an adapter, or a language model alone, on a file of examples.",
            "The scores are the mean loss; for classes accuracy, f1 (of the second of two labels, or the mean over "
                    + "more classes) and matthews_correlation; for values pearson and spearmanr; for causal-lm "
                    + "perplexity. The task, its labels, the pooling and the length to which texts are cut are the "
                    + "adapter's. For causal-lm so are the prompt, the column of the response and the length, unless "
                    + "options say otherwise. A loss that is not a finite number is printed (in JSON as a string) and "
                    + "is an error."})
final class EvaluateCommand implements Callable<Integer> {
    @Option(names = "--model", required = true, paramLabel = "PATH",
            description = "The model that the adapter was trained on, as for finetune.")
    private Path model;

    @Option(names = "--adapter", paramLabel = "DIR",
            description = "The adapter's folder; without it a language model is scored as it is.")
    private Path adapterFolder;

    @Option(names = "--data", required = true, paramLabel = "FILE", converter = DataFile.class,
            description = "The examples, as for finetune.")
    private Path file;

    @Option(names = "--predictions", paramLabel = "FILE",
            description = "Sequences: write a header and a line for each example, with tabs between fields: the "
                    + "predicted label and the probability of each label, or the value. Rows that are skipped get a "
                    + "line, too, with an empty label and NaN.")
    private Path predictions;

    @Option(names = "--no-labels",
            description = "Sequences: the data has no labels, so that there is nothing to score; for --predictions on "
                    + "new texts.")
    private boolean noLabels;

    @Option(names = "--json", description = "Print JSON.")
    private boolean json;

    @Option(names = "--per-device-eval-batch-size", paramLabel = "N",
            description = "Examples in a batch (default: ${DEFAULT-VALUE}).")
    private int batchSize = TrainingArguments.builder().build().evaluation().perDeviceEvalBatchSize();

    @Mixin
    private ComputeOptions computeOptions = new ComputeOptions();

    @Mixin
    private DataOptions dataOptions = new DataOptions();

    @Spec
    private CommandSpec spec;

    private Invocation invocation;
    /** Null if the model is scored without one. */
    private AdapterFolder adapter;

    static void groupOptions(CommandLine commandLine) {
        LinkedHashMap<String, String> headings = new LinkedHashMap<>();
        headings.put("dataOptions", "Data");
        GroupedHelp.of(commandLine, headings);
    }

    @Override
    public Integer call() {
        invocation = new Invocation(spec);
        computeOptions.check(invocation);
        dataOptions.check(invocation);
        invocation.check(batchSize > 0, "--per-device-eval-batch-size: found " + batchSize + "; expected at least 1");
        SequenceConfig task = adapterFolder == null ? noTask() : readTask();
        Invocation.requireModel(task == null ? Task.CAUSAL_LM : Task.of(task.problemType()), model);
        if (predictions != null) {
            OutputFile.check("--predictions", predictions);
            new ProtectedFiles().add("the data", file).addModel("the model", model)
                    .addAdapter("the adapter", adapterFolder).refuse(invocation, "--predictions", predictions);
        }
        if (task != null) {
            evaluateSequences(task);
        } else {
            evaluateCausalLm();
        }
        return ExitCode.OK;
    }

    /** The adapter's task; null if it is causal-lm. */
    private SequenceConfig readTask() {
        Invocation.requireAdapter("--adapter", adapterFolder);
        adapter = AdapterFolder.read(adapterFolder);
        dataOptions.follow(CausalLmConfig.of(adapter).orElse(null));
        return Task.sequenceConfig(adapter);
    }

    /** Refuses what only an adapter with a head can do; without one the task is causal-lm. */
    private SequenceConfig noTask() {
        if (BertModel.isAt(model)) {
            throw new InputException("--adapter", "", "none beside " + model + ", an encoder", "an adapter's folder, "
                    + "whose head makes classes or values of what the encoder gives; alone only a language model can "
                    + "be scored");
        }
        return null;
    }

    private void evaluateSequences(SequenceConfig task) {
        dataOptions.checkTask(invocation, Task.of(task.problemType()));
        dataOptions.checkMaxSeqLength(invocation, task.maxSeqLength(), adapterFolder);
        invocation.check(!noLabels || predictions != null, "--no-labels without --predictions");
        invocation.check(!noLabels || !invocation.isGiven("--label-column"),
                "Both --no-labels and --label-column are given; expected one of them");
        try (SequenceSession session = new SequenceSession(model, task, !noLabels, dataOptions, invocation)) {
            evaluate(session, (execution, objective, examples) -> {
                SequenceObjective sequences = (SequenceObjective) objective;
                float[] logits = sequences.logits(execution, examples, batchSize, scored -> {});
                if (predictions != null) {
                    for (float logit : logits) {
                        requireFinite("a logit", logit);
                    }
                    new Predictions(session.model().config(), logits).write(predictions, session.skipped());
                }
                return noLabels ? Map.of() : sequences.score(logits, examples);
            });
        }
    }

    private void evaluateCausalLm() {
        dataOptions.checkTask(invocation, Task.CAUSAL_LM);
        invocation.refuse(List.of("--predictions", "--no-labels"), "to --task " + Task.CAUSAL_LM);
        try (CausalLmSession session = new CausalLmSession(model, dataOptions, invocation)) {
            evaluate(session, (execution, objective, examples) -> {
                Map<String, Double> scores = new LinkedHashMap<>(
                        objective.evaluate(execution, examples, batchSize, scored -> {}));
                scores.put("perplexity", Math.exp(scores.get(Objective.EVAL_LOSS)));
                return scores;
            });
        }
    }

    @FunctionalInterface
    private interface Scoring<E extends TokenSequence> {
        Map<String, Double> score(Execution execution, Objective<E> objective, List<E> examples);
    }

    private <E extends TokenSequence> void evaluate(TaskSession<E> session, Scoring<E> scoring) {
        List<E> examples = session.read("evaluation", file);
        try (Stream stream = computeOptions.open(invocation)) {
            invocation.say("loading %s", model);
            session.load(computeOptions.dtype(), stream);
            evaluate(session, scoring, examples, stream);
        }
    }

    private <E extends TokenSequence> void evaluate(TaskSession<E> session, Scoring<E> scoring, List<E> examples,
            Stream stream) {
        try (Adapter loaded = adapter == null ? null : adapter.load(session.model().parameters(), stream);
                Execution execution = new Execution(stream, Blas.on(stream.device()))) {
            Objective<E> objective = session.attach(loaded);
            if (loaded != null) {
                invocation.sayNotes(loaded);
            }
            Map<String, Double> scores = scoring.score(execution, objective, examples);
            print(scores, examples.size(), session.skipped().size());
            requireFinite("a loss", scores.getOrDefault(Objective.EVAL_LOSS, 0.0));
        }
    }

    /** @throws InputException if what the model computes for the examples cannot be used */
    private void requireFinite(String what, double value) {
        if (!Double.isFinite(value)) {
            String expected = "finite numbers: %s are not, or are far too large";
            throw adapter == null
                    ? new InputException("--model", "", model + ", which has " + what + " of " + value,
                            String.format(expected, "the model's"))
                    : new InputException("--adapter", "", adapterFolder + ", with which " + model + " has " + what
                            + " of " + value, String.format(expected, "the adapter's or the model's"));
        }
    }

    private void print(Map<String, Double> scores, int examples, int skipped) {
        if (json) {
            ObjectNode report = new ObjectMapper().createObjectNode();
            report.put("examples", examples);
            if (skipped > 0) {
                report.put("skipped", skipped);
            }
            scores.forEach(report::put);
            invocation.out().println(report.toPrettyString());
            invocation.out().flush();
            return;
        }
        Summary summary = new Summary();
        summary.line("examples", "%,d", examples);
        if (skipped > 0) {
            summary.line("skipped", "%,d", skipped);
        }
        scores.forEach((name, score) -> summary.line(name, "%.6f", score));
        summary.print(invocation.out());
    }
}
