package io.vblora.train;

import picocli.CommandLine.Option;

/**
 * When held-out data is scored, and what follows from the scores.
 *
 * @param perDeviceEvalBatchSize examples in a batch of held-out data
 * @param evalSteps number of steps from one evaluation on the held-out data to the next, or 0 to evaluate only before
 * the first step and after the last one
 * @param metricForBestModel score on the held-out data by which the best parameters are chosen: less is better if its
 * name ends in "loss", otherwise more is
 * @param loadBestModelAtEnd whether a run ends with the parameters that scored best, which may be those before the
 * first step, instead of the last ones; a copy of them is kept in memory. If the loss or the parameters do not stay
 * finite, the run also ends with the best parameters, unless these are the ones before the first step
 * @param earlyStoppingPatience a run stops when this many evaluations in a row were no better than the best; 0 for
 * never
 */
public record EvaluationArguments(int perDeviceEvalBatchSize, long evalSteps, String metricForBestModel,
        boolean loadBestModelAtEnd, int earlyStoppingPatience) {

    public EvaluationArguments {
        TrainingArguments.require(perDeviceEvalBatchSize > 0, "per_device_eval_batch_size", perDeviceEvalBatchSize,
                "at least 1");
        TrainingArguments.require(evalSteps >= 0, "eval_steps", evalSteps,
                "a number of steps, or 0 for none in between");
        TrainingArguments.require(!metricForBestModel.isBlank(), "metric_for_best_model", "nothing",
                "the name of a score");
        TrainingArguments.require(earlyStoppingPatience >= 0, "early_stopping_patience", earlyStoppingPatience,
                "a number of scorings, or 0 for never");
        TrainingArguments.require(earlyStoppingPatience == 0 || evalSteps > 0, "early_stopping_patience",
                earlyStoppingPatience + " without eval_steps", "eval_steps above 0 with it");
    }

    /** Whether held-out data is scored after this many steps, if the run goes on then. */
    boolean isDueAfter(long steps) {
        return evalSteps > 0 && steps % evalSteps == 0;
    }

    /** The options and their defaults. */
    static final class Options {
        @Option(names = "--per-device-eval-batch-size", paramLabel = "N",
                description = "Examples in a batch of held-out data (default: ${DEFAULT-VALUE}).")
        int perDeviceEvalBatchSize = 8;

        @Option(names = "--eval-steps", paramLabel = "N",
                description = "Score --eval every N optimizer steps as well; 0: only before and after training "
                        + "(default: ${DEFAULT-VALUE}).")
        long evalSteps;

        @Option(names = "--metric-for-best-model", paramLabel = "NAME",
                description = "The score by which evaluations are compared, as they are printed: eval_loss, accuracy, "
                        + "f1, matthews_correlation, pearson, spearmanr (default: ${DEFAULT-VALUE}).")
        String metricForBestModel = Objective.EVAL_LOSS;

        @Option(names = "--load-best-model-at-end",
                description = "End with the parameters that scored best, not with the last ones; also if the loss or "
                        + "the parameters do not stay finite, which is an error without this option.")
        boolean loadBestModelAtEnd;

        @Option(names = "--early-stopping-patience", paramLabel = "N",
                description = "Stop after N evaluations in a row that were no better than the best; 0: never (default: "
                        + "${DEFAULT-VALUE}).")
        int earlyStoppingPatience;

        EvaluationArguments build() {
            return new EvaluationArguments(perDeviceEvalBatchSize, evalSteps, metricForBestModel, loadBestModelAtEnd,
                    earlyStoppingPatience);
        }
    }
}
