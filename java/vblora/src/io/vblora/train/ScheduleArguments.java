package io.vblora.train;

import io.vblora.InputException;
import picocli.CommandLine.Option;

/**
 * How long a run is, and how its learning rates change on the way.
 *
 * @param lrSchedulerType schedule of all learning rates
 * @param warmupRatio share of all steps that warm up, rounded up; not used if {@code warmupSteps} is not negative
 * @param warmupSteps steps that warm up, or -1 to follow {@code warmupRatio}
 * @param numTrainEpochs passes over the data, at most 1e6; not used if {@code maxSteps} is positive
 * @param maxSteps optimizer steps, or -1 to follow {@code numTrainEpochs}
 */
public record ScheduleArguments(LrSchedulerType lrSchedulerType, double warmupRatio, long warmupSteps,
        double numTrainEpochs, long maxSteps) {

    /** More are refused, since nobody can mean them, and with many more the steps could not be counted. */
    private static final double MAX_EPOCHS = 1e6;

    public ScheduleArguments {
        TrainingArguments.require(warmupRatio >= 0 && warmupRatio <= 1, "warmup_ratio", warmupRatio,
                "a number in [0, 1]");
        TrainingArguments.require(warmupSteps >= -1, "warmup_steps", warmupSteps,
                "a number of steps, or -1 for warmup_ratio");
        TrainingArguments.require(maxSteps == -1 || maxSteps > 0, "max_steps", maxSteps,
                "at least 1, or -1 for num_train_epochs");
        TrainingArguments.require(maxSteps > 0 || (numTrainEpochs > 0 && numTrainEpochs <= MAX_EPOCHS),
                "num_train_epochs", numTrainEpochs, "a number above 0, at most " + (long) MAX_EPOCHS);
    }

    /** The number of optimizer steps of a run in which each pass over the data has this many. */
    public long totalSteps(long stepsPerEpoch) {
        return maxSteps > 0 ? maxSteps : Math.max(1, (long) Math.ceil(numTrainEpochs * stepsPerEpoch));
    }

    /** The number of steps that warm up in a run of {@code totalSteps}. */
    public long warmupStepsOf(long totalSteps) {
        return warmupSteps >= 0 ? warmupSteps : (long) Math.ceil(warmupRatio * totalSteps);
    }

    /** The factor on all base learning rates in a step (from 1) of a run of {@code totalSteps}. */
    double factor(long step, long totalSteps) {
        return lrSchedulerType.factor(step, warmupStepsOf(totalSteps), totalSteps);
    }

    /** The options and their defaults. A number of steps that follows from another option is null. */
    static final class Options {
        @Option(names = "--lr-scheduler-type", paramLabel = "TYPE",
                description = "What the learning rates do after warm-up: ${COMPLETION-CANDIDATES} (default: "
                        + "${DEFAULT-VALUE}).")
        LrSchedulerType lrSchedulerType = LrSchedulerType.LINEAR;

        @Option(names = "--warmup-ratio", paramLabel = "SHARE",
                description = "Share of all steps in which the learning rates rise from 0, rounded up (default: "
                        + "${DEFAULT-VALUE}).")
        double warmupRatio = 0.06;

        @Option(names = "--warmup-steps", paramLabel = "N",
                description = "Steps in which the learning rates rise from 0, instead of --warmup-ratio.")
        Long warmupSteps;

        @Option(names = "--num-train-epochs", paramLabel = "X",
                description = "Passes over the training data (default: ${DEFAULT-VALUE}).")
        double numTrainEpochs = 3;

        @Option(names = "--max-steps", paramLabel = "N",
                description = "Optimizer steps, instead of --num-train-epochs.")
        Long maxSteps;

        ScheduleArguments build() {
            return new ScheduleArguments(lrSchedulerType, warmupRatio, orUnset("warmup_steps", warmupSteps, 0),
                    numTrainEpochs, orUnset("max_steps", maxSteps, 1));
        }

        /** In options, unlike in arguments, -1 does not mean that a value is not set. */
        private static long orUnset(String field, Long value, long least) {
            if (value == null) {
                return -1;
            }
            if (value < least) {
                throw new InputException("training arguments", field, Long.toString(value), "at least " + least);
            }
            return value;
        }
    }
}
