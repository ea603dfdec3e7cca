package io.vblora.cli;

import io.vblora.InputException;
import io.vblora.train.LrSchedulerType;
import io.vblora.train.TrainingArguments;
import java.util.List;
import picocli.CommandLine.Option;

/** Options of {@code finetune} that become {@link TrainingArguments}, with their names and defaults. */
final class TrainingOptions {
    /** Options that mean nothing without held-out data. */
    static final List<String> EVALUATION_ONLY = List.of("--per-device-eval-batch-size", "--eval-steps",
            "--metric-for-best-model", "--load-best-model-at-end", "--early-stopping-patience");

    private static final TrainingArguments DEFAULTS = TrainingArguments.builder().build();

    @Option(names = "--learning-rate-vector-bank", paramLabel = "RATE",
            description = "VB-LoRA: learning rate of the vector bank (default: ${DEFAULT-VALUE}, the paper's).")
    private double learningRateVectorBank = DEFAULTS.learningRateVectorBank();

    @Option(names = "--learning-rate-logits", paramLabel = "RATE",
            description = "VB-LoRA: learning rate of the logits (default: ${DEFAULT-VALUE}, the paper's).")
    private double learningRateLogits = DEFAULTS.learningRateLogits();

    @Option(names = "--learning-rate", paramLabel = "RATE",
            description = "Learning rate of LoRA's A and B, and of the base model's biases (--bias) and modules "
                    + "(--modules-to-save); nothing else of VB-LoRA (default: ${DEFAULT-VALUE}, usual for LoRA).")
    private double learningRate = DEFAULTS.learningRate();

    @Option(names = "--learning-rate-head", paramLabel = "RATE",
            description = "Sequences: learning rate of the head (default: ${DEFAULT-VALUE}).")
    private double learningRateHead = DEFAULTS.learningRateHead();

    @Option(names = "--weight-decay", paramLabel = "X",
            description = "AdamW's weight decay, of all but biases and norms (default: ${DEFAULT-VALUE}).")
    private double weightDecay = DEFAULTS.weightDecay();

    @Option(names = "--max-grad-norm", paramLabel = "NORM",
            description = "Clip gradients to this global 2-norm; 0 turns clipping off (default: ${DEFAULT-VALUE}).")
    private double maxGradNorm = DEFAULTS.maxGradNorm();

    @Option(names = "--lr-scheduler-type", paramLabel = "TYPE",
            description = "What the learning rates do after warm-up: ${COMPLETION-CANDIDATES} (default: "
                    + "${DEFAULT-VALUE}).")
    private LrSchedulerType lrSchedulerType = DEFAULTS.lrSchedulerType();

    @Option(names = "--warmup-ratio", paramLabel = "SHARE",
            description = "Share of all steps in which the learning rates rise from 0, rounded up (default: "
                    + "${DEFAULT-VALUE}).")
    private double warmupRatio = DEFAULTS.warmupRatio();

    @Option(names = "--warmup-steps", paramLabel = "N",
            description = "Steps in which the learning rates rise from 0, instead of --warmup-ratio.")
    private Long warmupSteps;

    @Option(names = "--per-device-train-batch-size", paramLabel = "N",
            description = "Examples in a micro-batch (default: ${DEFAULT-VALUE}).")
    private int perDeviceTrainBatchSize = DEFAULTS.perDeviceTrainBatchSize();

    @Option(names = "--per-device-eval-batch-size", paramLabel = "N",
            description = "Examples in a batch of held-out data (default: ${DEFAULT-VALUE}).")
    private int perDeviceEvalBatchSize = DEFAULTS.perDeviceEvalBatchSize();

    @Option(names = "--gradient-accumulation-steps", paramLabel = "N",
            description = "Micro-batches in an optimizer step (default: ${DEFAULT-VALUE}).")
    private int gradientAccumulationSteps = DEFAULTS.gradientAccumulationSteps();

    @Option(names = "--num-train-epochs", paramLabel = "X",
            description = "Passes over the training data (default: ${DEFAULT-VALUE}).")
    private double numTrainEpochs = DEFAULTS.numTrainEpochs();

    @Option(names = "--max-steps", paramLabel = "N",
            description = "Optimizer steps, instead of --num-train-epochs.")
    private Long maxSteps;

    @Option(names = "--seed", paramLabel = "N",
            description = "Seed of the adapter's first values, of shuffling and of dropout (default: "
                    + "${DEFAULT-VALUE}).")
    private long seed = DEFAULTS.seed();

    @Option(names = "--no-shuffle", description = "Visit the examples in the order of the file in every epoch.")
    private boolean noShuffle;

    @Option(names = "--group-by-length",
            description = "Put examples of similar length into one micro-batch, for less padding.")
    private boolean groupByLength;

    @Option(names = "--eval-steps", paramLabel = "N",
            description = "Score --eval every N optimizer steps as well; 0: before and after training alone (default: "
                    + "${DEFAULT-VALUE}).")
    private long evalSteps = DEFAULTS.evalSteps();

    @Option(names = "--metric-for-best-model", paramLabel = "NAME",
            description = "The score by which evaluations are compared, as they are printed: eval_loss, accuracy, f1, "
                    + "matthews_correlation, pearson, spearmanr (default: ${DEFAULT-VALUE}).")
    private String metricForBestModel = DEFAULTS.metricForBestModel();

    @Option(names = "--load-best-model-at-end",
            description = "End with the parameters that scored best, not with the last ones; also where the loss or "
                    + "the parameters do not stay finite, which without this option is an error.")
    private boolean loadBestModelAtEnd;

    @Option(names = "--early-stopping-patience", paramLabel = "N",
            description = "Stop when N evaluations in a row were no better than the best; 0: never (default: "
                    + "${DEFAULT-VALUE}).")
    private int earlyStoppingPatience = DEFAULTS.earlyStoppingPatience();

    long seed() {
        return seed;
    }

    /** @throws io.vblora.InputException if a value is out of range */
    TrainingArguments arguments() {
        TrainingArguments.Builder arguments = TrainingArguments.builder()
                .learningRateVectorBank(learningRateVectorBank)
                .learningRateLogits(learningRateLogits)
                .learningRate(learningRate)
                .learningRateHead(learningRateHead)
                .weightDecay(weightDecay)
                .maxGradNorm(maxGradNorm)
                .lrSchedulerType(lrSchedulerType)
                .warmupRatio(warmupRatio)
                .perDeviceTrainBatchSize(perDeviceTrainBatchSize)
                .perDeviceEvalBatchSize(perDeviceEvalBatchSize)
                .gradientAccumulationSteps(gradientAccumulationSteps)
                .numTrainEpochs(numTrainEpochs)
                .shuffle(!noShuffle)
                .groupByLength(groupByLength)
                .evalSteps(evalSteps)
                .metricForBestModel(metricForBestModel)
                .loadBestModelAtEnd(loadBestModelAtEnd)
                .earlyStoppingPatience(earlyStoppingPatience)
                .seed(seed);
        if (warmupSteps != null) {
            arguments.warmupSteps(atLeast(0, "warmup_steps", warmupSteps));
        }
        if (maxSteps != null) {
            arguments.maxSteps(atLeast(1, "max_steps", maxSteps));
        }
        return arguments.build();
    }

    /** On the command line -1 is not "unset", as it is in the arguments. */
    private static long atLeast(long least, String field, long value) {
        if (value < least) {
            throw new InputException("training arguments", field, Long.toString(value), "at least " + least);
        }
        return value;
    }
}
