package io.vblora.train;

import io.vblora.InputException;
import io.vblora.kernels.ops.StepState;
import java.util.Locale;

/**
 * How to train. Names, meanings and defaults are those of Hugging Face's {@code TrainingArguments}, but for learning
 * rates and warm-up: the learning rates of the vector bank and the logits and the warm-up ratio default to the VB-LoRA
 * paper's (Li et al., 2024, appendix A), LoRA's learning rate to 2e-4, as is usual, and that of heads to 5e-3, which
 * served few classes and many alike on sentence encoders.
 *
 * @param learningRateVectorBank base learning rate of VB-LoRA's vector bank
 * @param learningRateLogits base learning rate of VB-LoRA's logits
 * @param learningRate base learning rate of LoRA's weights, and of biases and modules of the base model
 * @param learningRateHead base learning rate of the heads of tasks
 * @param weightDecay AdamW's decoupled weight decay, of all parameters but biases and norms
 * @param adamBeta1 AdamW's beta1, in [0, 1)
 * @param adamBeta2 AdamW's beta2, in [0, 1)
 * @param adamEpsilon AdamW's epsilon, above 0
 * @param maxGradNorm global norm to which gradients are clipped; 0 means no clipping
 * @param lrSchedulerType schedule of all learning rates
 * @param warmupRatio share of all steps that warm up, rounded up; not used if {@code warmupSteps} is not negative
 * @param warmupSteps steps that warm up, or -1 to follow {@code warmupRatio}
 * @param perDeviceTrainBatchSize examples in a micro-batch
 * @param perDeviceEvalBatchSize examples in a batch of held-out data
 * @param gradientAccumulationSteps micro-batches in an optimizer step, at most 65536
 * @param numTrainEpochs passes over the data, at most 1e6; not used if {@code maxSteps} is positive
 * @param maxSteps optimizer steps, or -1 to follow {@code numTrainEpochs}
 * @param shuffle whether the examples are shuffled in each epoch
 * @param groupByLength whether examples of similar length come together in a micro-batch
 * @param evalSteps steps from one scoring of the held-out data to the next, or 0 to score it before the first step and
 * after the last one alone
 * @param metricForBestModel score on the held-out data by which the best parameters are chosen: the less the better if
 * its name ends in "loss", else the more
 * @param loadBestModelAtEnd whether a run ends with the parameters that scored best, those before the first step
 * included, instead of the last ones; a copy of them is kept in memory. A run whose loss or parameters do not stay
 * finite then ends with them, too, if they are not those before the first step
 * @param earlyStoppingPatience a run stops when so many scorings in a row have not been better than the best; 0 for
 * never
 * @param seed of shuffling and dropout
 */
public record TrainingArguments(
        double learningRateVectorBank,
        double learningRateLogits,
        double learningRate,
        double learningRateHead,
        double weightDecay,
        double adamBeta1,
        double adamBeta2,
        double adamEpsilon,
        double maxGradNorm,
        LrSchedulerType lrSchedulerType,
        double warmupRatio,
        long warmupSteps,
        int perDeviceTrainBatchSize,
        int perDeviceEvalBatchSize,
        int gradientAccumulationSteps,
        double numTrainEpochs,
        long maxSteps,
        boolean shuffle,
        boolean groupByLength,
        long evalSteps,
        String metricForBestModel,
        boolean loadBestModelAtEnd,
        int earlyStoppingPatience,
        long seed) {

    /** More are refused as absurd, before steps are too many to count. */
    private static final double MAX_EPOCHS = 1e6;

    public TrainingArguments {
        notNegative("learning_rate_vector_bank", learningRateVectorBank);
        notNegative("learning_rate_logits", learningRateLogits);
        notNegative("learning_rate", learningRate);
        notNegative("learning_rate_head", learningRateHead);
        notNegative("weight_decay", weightDecay);
        notNegative("max_grad_norm", maxGradNorm);
        check(adamBeta1 >= 0 && adamBeta1 < 1, "adam_beta1", adamBeta1, "a number in [0, 1)");
        check(adamBeta2 >= 0 && adamBeta2 < 1, "adam_beta2", adamBeta2, "a number in [0, 1)");
        check(adamEpsilon > 0 && Double.isFinite(adamEpsilon), "adam_epsilon", adamEpsilon, "a number above 0");
        check(warmupRatio >= 0 && warmupRatio <= 1, "warmup_ratio", warmupRatio, "a number in [0, 1]");
        check(warmupSteps >= -1, "warmup_steps", warmupSteps, "a number of steps, or -1 for warmup_ratio");
        check(perDeviceTrainBatchSize > 0, "per_device_train_batch_size", perDeviceTrainBatchSize, "at least 1");
        check(perDeviceEvalBatchSize > 0, "per_device_eval_batch_size", perDeviceEvalBatchSize, "at least 1");
        check(gradientAccumulationSteps > 0 && gradientAccumulationSteps <= StepState.MICRO_BATCHES,
                "gradient_accumulation_steps", gradientAccumulationSteps, "1 to " + StepState.MICRO_BATCHES);
        check(maxSteps == -1 || maxSteps > 0, "max_steps", maxSteps, "at least 1, or -1 for num_train_epochs");
        check(maxSteps > 0 || (numTrainEpochs > 0 && numTrainEpochs <= MAX_EPOCHS), "num_train_epochs", numTrainEpochs,
                "a number above 0, at most " + (long) MAX_EPOCHS);
        check(evalSteps >= 0, "eval_steps", evalSteps, "a number of steps, or 0 for none in between");
        check(!metricForBestModel.isBlank(), "metric_for_best_model", "nothing", "the name of a score");
        check(earlyStoppingPatience >= 0, "early_stopping_patience", earlyStoppingPatience,
                "a number of scorings, or 0 for never");
        check(earlyStoppingPatience == 0 || evalSteps > 0, "early_stopping_patience", earlyStoppingPatience
                + " without eval_steps", "eval_steps above 0 with it");
    }

    private static void notNegative(String field, double value) {
        check(value >= 0 && Double.isFinite(value), field, value, "a finite number that is not negative");
    }

    private static void check(boolean condition, String field, Object found, String expected) {
        if (!condition) {
            throw new InputException("training arguments", field, String.valueOf(found).toLowerCase(Locale.ROOT),
                    expected);
        }
    }

    /** Optimizer steps of a run over so many examples. */
    public long totalSteps(long examples) {
        if (maxSteps > 0) {
            return maxSteps;
        }
        return Math.max(1, (long) Math.ceil(numTrainEpochs * stepsPerEpoch(examples)));
    }

    /** Optimizer steps of one pass over so many examples; the last one may hold fewer micro-batches. */
    public long stepsPerEpoch(long examples) {
        long batches = (examples + perDeviceTrainBatchSize - 1) / perDeviceTrainBatchSize;
        return (batches + gradientAccumulationSteps - 1) / gradientAccumulationSteps;
    }

    /** Steps that warm up in a run of {@code totalSteps}. */
    public long warmupStepsOf(long totalSteps) {
        return warmupSteps >= 0 ? warmupSteps : (long) Math.ceil(warmupRatio * totalSteps);
    }

    public static Builder builder() {
        return new Builder();
    }

    /** Sets what differs from the defaults. */
    public static final class Builder {
        private double learningRateVectorBank = 1e-3;
        private double learningRateLogits = 1e-2;
        private double learningRate = 2e-4;
        private double learningRateHead = 5e-3;
        private double weightDecay;
        private double adamBeta1 = 0.9;
        private double adamBeta2 = 0.999;
        private double adamEpsilon = 1e-8;
        private double maxGradNorm = 1;
        private LrSchedulerType lrSchedulerType = LrSchedulerType.LINEAR;
        private double warmupRatio = 0.06;
        private long warmupSteps = -1;
        private int perDeviceTrainBatchSize = 8;
        private int perDeviceEvalBatchSize = 8;
        private int gradientAccumulationSteps = 1;
        private double numTrainEpochs = 3;
        private long maxSteps = -1;
        private boolean shuffle = true;
        private boolean groupByLength;
        private long evalSteps;
        private String metricForBestModel = Objective.EVAL_LOSS;
        private boolean loadBestModelAtEnd;
        private int earlyStoppingPatience;
        private long seed = 42;

        private Builder() {}

        public Builder learningRateVectorBank(double value) {
            learningRateVectorBank = value;
            return this;
        }

        public Builder learningRateLogits(double value) {
            learningRateLogits = value;
            return this;
        }

        public Builder learningRate(double value) {
            learningRate = value;
            return this;
        }

        public Builder learningRateHead(double value) {
            learningRateHead = value;
            return this;
        }

        public Builder weightDecay(double value) {
            weightDecay = value;
            return this;
        }

        public Builder adamBeta1(double value) {
            adamBeta1 = value;
            return this;
        }

        public Builder adamBeta2(double value) {
            adamBeta2 = value;
            return this;
        }

        public Builder adamEpsilon(double value) {
            adamEpsilon = value;
            return this;
        }

        public Builder maxGradNorm(double value) {
            maxGradNorm = value;
            return this;
        }

        public Builder lrSchedulerType(LrSchedulerType value) {
            lrSchedulerType = value;
            return this;
        }

        public Builder warmupRatio(double value) {
            warmupRatio = value;
            return this;
        }

        public Builder warmupSteps(long value) {
            warmupSteps = value;
            return this;
        }

        public Builder perDeviceTrainBatchSize(int value) {
            perDeviceTrainBatchSize = value;
            return this;
        }

        public Builder perDeviceEvalBatchSize(int value) {
            perDeviceEvalBatchSize = value;
            return this;
        }

        public Builder gradientAccumulationSteps(int value) {
            gradientAccumulationSteps = value;
            return this;
        }

        public Builder numTrainEpochs(double value) {
            numTrainEpochs = value;
            return this;
        }

        public Builder maxSteps(long value) {
            maxSteps = value;
            return this;
        }

        public Builder shuffle(boolean value) {
            shuffle = value;
            return this;
        }

        public Builder groupByLength(boolean value) {
            groupByLength = value;
            return this;
        }

        public Builder evalSteps(long value) {
            evalSteps = value;
            return this;
        }

        public Builder metricForBestModel(String value) {
            metricForBestModel = value;
            return this;
        }

        public Builder loadBestModelAtEnd(boolean value) {
            loadBestModelAtEnd = value;
            return this;
        }

        public Builder earlyStoppingPatience(int value) {
            earlyStoppingPatience = value;
            return this;
        }

        public Builder seed(long value) {
            seed = value;
            return this;
        }

        public TrainingArguments build() {
            return new TrainingArguments(learningRateVectorBank, learningRateLogits, learningRate,
                    learningRateHead, weightDecay, adamBeta1, adamBeta2, adamEpsilon, maxGradNorm, lrSchedulerType,
                    warmupRatio, warmupSteps, perDeviceTrainBatchSize, perDeviceEvalBatchSize,
                    gradientAccumulationSteps, numTrainEpochs, maxSteps, shuffle, groupByLength, evalSteps,
                    metricForBestModel, loadBestModelAtEnd, earlyStoppingPatience, seed);
        }
    }
}
