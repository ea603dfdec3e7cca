package io.vblora.train;

import io.vblora.kernels.ops.StepState;
import picocli.CommandLine.Option;

/**
 * How the training data is split into micro-batches and steps.
 *
 * @param perDeviceTrainBatchSize examples in a micro-batch
 * @param gradientAccumulationSteps micro-batches in an optimizer step, at most 65536
 * @param shuffle whether the examples are shuffled in each epoch
 * @param groupByLength whether examples of similar length share a micro-batch
 */
public record BatchArguments(int perDeviceTrainBatchSize, int gradientAccumulationSteps, boolean shuffle,
        boolean groupByLength) {

    public BatchArguments {
        TrainingArguments.require(perDeviceTrainBatchSize > 0, "per_device_train_batch_size", perDeviceTrainBatchSize,
                "at least 1");
        TrainingArguments.require(gradientAccumulationSteps > 0
                && gradientAccumulationSteps <= StepState.MICRO_BATCHES, "gradient_accumulation_steps",
                gradientAccumulationSteps, "1 to " + StepState.MICRO_BATCHES);
    }

    /** The number of optimizer steps in one pass over this many examples. The last one may have fewer micro-batches. */
    public long stepsPerEpoch(long examples) {
        long batches = (examples + perDeviceTrainBatchSize - 1) / perDeviceTrainBatchSize;
        return (batches + gradientAccumulationSteps - 1) / gradientAccumulationSteps;
    }

    /** The options and their defaults. */
    static final class Options {
        @Option(names = "--per-device-train-batch-size", paramLabel = "N",
                description = "Examples in a micro-batch (default: ${DEFAULT-VALUE}).")
        int perDeviceTrainBatchSize = 8;

        @Option(names = "--gradient-accumulation-steps", paramLabel = "N",
                description = "Micro-batches in an optimizer step (default: ${DEFAULT-VALUE}).")
        int gradientAccumulationSteps = 1;

        @Option(names = "--no-shuffle", description = "Visit the examples in the order of the file in every epoch.")
        boolean noShuffle;

        @Option(names = "--group-by-length",
                description = "Put examples of similar length into one micro-batch.")
        boolean groupByLength;

        BatchArguments build() {
            return new BatchArguments(perDeviceTrainBatchSize, gradientAccumulationSteps, !noShuffle, groupByLength);
        }
    }
}
