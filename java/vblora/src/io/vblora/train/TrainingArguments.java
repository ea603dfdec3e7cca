package io.vblora.train;

import io.vblora.InputException;
import java.util.Locale;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * How to train. Names, meanings and defaults are those of Hugging Face's {@code TrainingArguments}, except for learning
 * rates and warm-up. The learning rates of the vector bank and the logits and the warm-up ratio default to those of the
 * VB-LoRA paper (Li et al., 2024, appendix A), LoRA's learning rate to 2e-4, as is usual, and that of heads to 5e-3,
 * which served tasks with few and with many classes equally well on sentence encoders. As with Hugging Face, the
 * options of the command line are these very arguments: each is declared once, with its default and its text, in the
 * {@code Options} of the record that holds it. Learning rates that belong to one method are declared by that method.
 *
 * @param seed the seed of shuffling and dropout
 */
public record TrainingArguments(OptimizerArguments optimizer, ScheduleArguments schedule, BatchArguments batches,
        EvaluationArguments evaluation, long seed) {

    static void requireNotNegative(String field, double value) {
        require(value >= 0 && Double.isFinite(value), field, value, "a finite number that is not negative");
    }

    static void require(boolean condition, String field, Object found, String expected) {
        if (!condition) {
            throw new InputException("training arguments", field, String.valueOf(found).toLowerCase(Locale.ROOT),
                    expected);
        }
    }

    /** The number of optimizer steps of a run over this many examples. */
    public long totalSteps(long examples) {
        return schedule.totalSteps(batches.stepsPerEpoch(examples));
    }

    public static Builder builder() {
        return new Builder();
    }

    /**
     * Begins with the defaults, of which some can be set to other values. It also declares the options of a command.
     */
    public static final class Builder {
        @Mixin
        private final OptimizerArguments.Options optimizer = new OptimizerArguments.Options();

        @Mixin
        private final ScheduleArguments.Options schedule = new ScheduleArguments.Options();

        @Mixin
        private final BatchArguments.Options batches = new BatchArguments.Options();

        @Mixin
        private final EvaluationArguments.Options evaluation = new EvaluationArguments.Options();

        @Option(names = "--seed", paramLabel = "N",
                description = "Seed of the adapter's initial values, of shuffling and of dropout (default: "
                        + "${DEFAULT-VALUE}).")
        private long seed = 42;

        private Builder() {}

        /** @param value one of {@link io.vblora.optimizer.Optimizers#names} */
        public Builder optim(String value) {
            optimizer.optim = value;
            return this;
        }

        public Builder learningRate(double value) {
            optimizer.learningRate = value;
            return this;
        }

        public Builder learningRateHead(double value) {
            optimizer.learningRateHead = value;
            return this;
        }

        /**
         * Sets a learning rate of a method. It changes nothing for an adapter of another method; a {@link Trainer}
         * refuses names that no method has.
         *
         * @param name a name that {@link io.vblora.parameters.ParameterGroup#learningRate} has
         */
        public Builder learningRate(String name, double value) {
            optimizer.learningRates.put(name, value);
            return this;
        }

        public Builder weightDecay(double value) {
            optimizer.weightDecay = value;
            return this;
        }

        public Builder adamBeta1(double value) {
            optimizer.adamBeta1 = value;
            return this;
        }

        public Builder adamBeta2(double value) {
            optimizer.adamBeta2 = value;
            return this;
        }

        public Builder adamEpsilon(double value) {
            optimizer.adamEpsilon = value;
            return this;
        }

        public Builder maxGradNorm(double value) {
            optimizer.maxGradNorm = value;
            return this;
        }

        public Builder lrSchedulerType(LrSchedulerType value) {
            schedule.lrSchedulerType = value;
            return this;
        }

        public Builder warmupRatio(double value) {
            schedule.warmupRatio = value;
            return this;
        }

        /** @param value -1 to follow the warm-up ratio */
        public Builder warmupSteps(long value) {
            schedule.warmupSteps = value == -1 ? null : Long.valueOf(value);
            return this;
        }

        public Builder numTrainEpochs(double value) {
            schedule.numTrainEpochs = value;
            return this;
        }

        /** @param value -1 to follow the number of epochs */
        public Builder maxSteps(long value) {
            schedule.maxSteps = value == -1 ? null : Long.valueOf(value);
            return this;
        }

        public Builder perDeviceTrainBatchSize(int value) {
            batches.perDeviceTrainBatchSize = value;
            return this;
        }

        public Builder gradientAccumulationSteps(int value) {
            batches.gradientAccumulationSteps = value;
            return this;
        }

        public Builder shuffle(boolean value) {
            batches.noShuffle = !value;
            return this;
        }

        public Builder groupByLength(boolean value) {
            batches.groupByLength = value;
            return this;
        }

        public Builder perDeviceEvalBatchSize(int value) {
            evaluation.perDeviceEvalBatchSize = value;
            return this;
        }

        public Builder evalSteps(long value) {
            evaluation.evalSteps = value;
            return this;
        }

        public Builder metricForBestModel(String value) {
            evaluation.metricForBestModel = value;
            return this;
        }

        public Builder loadBestModelAtEnd(boolean value) {
            evaluation.loadBestModelAtEnd = value;
            return this;
        }

        public Builder earlyStoppingPatience(int value) {
            evaluation.earlyStoppingPatience = value;
            return this;
        }

        public Builder seed(long value) {
            seed = value;
            return this;
        }

        /** @throws InputException if a value is out of range or unknown, or values do not fit together */
        public TrainingArguments build() {
            return new TrainingArguments(optimizer.build(), schedule.build(), batches.build(), evaluation.build(),
                    seed);
        }
    }
}
