package io.vblora.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.vblora.InputException;
import io.vblora.parameters.ParameterGroup;
import java.util.Map;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;

class TrainingArgumentsTest {
    private static void assertRefused(String field, String expected, TrainingArguments.Builder builder) {
        InputException e = assertThrows(InputException.class, builder::build);
        assertEquals(field, e.field());
        assertEquals(expected, e.expected());
    }

    @Test
    void stepsOfTheLargestRunCanBeCounted() {
        TrainingArguments most = TrainingArguments.builder().numTrainEpochs(1e6).perDeviceTrainBatchSize(1).build();
        assertEquals(Integer.MAX_VALUE * 1_000_000L, most.totalSteps(Integer.MAX_VALUE));
        assertRefused("num_train_epochs", "a number above 0, at most 1000000",
                TrainingArguments.builder().numTrainEpochs(1e300));
    }

    /** Dropout tells 65536 micro-batches of a step apart. */
    @Test
    void boundsMicroBatchesOfAStep() {
        assertEquals(65536,
                TrainingArguments.builder().gradientAccumulationSteps(65536).build().batches()
                        .gradientAccumulationSteps());
        for (int wrong : new int[] {0, 65537}) {
            assertRefused("gradient_accumulation_steps", "1 to 65536",
                    TrainingArguments.builder().gradientAccumulationSteps(wrong));
        }
    }

    /** Rates of methods that are not known here have the names of their groups; others are the groups' own. */
    @Test
    void learningRatesAreThoseOfGroups() {
        ParameterGroup group = new ParameterGroup("toys", "learning_rate_toys", 0.5, true);
        assertEquals(0.5, TrainingArguments.builder().build().optimizer().learningRate(group));
        assertEquals(0.25, TrainingArguments.builder().learningRate("learning_rate_toys", 0.25).build().optimizer()
                .learningRate(group));
        assertRefused("learning_rate_toys", "a finite number that is not negative",
                TrainingArguments.builder().learningRate("learning_rate_toys", -1));
    }

    @Test
    void minusOneLeavesStepsUnset() {
        TrainingArguments unset = TrainingArguments.builder().maxSteps(-1).warmupSteps(-1).numTrainEpochs(2)
                .perDeviceTrainBatchSize(5).warmupRatio(0.25).build();
        assertEquals(8, unset.totalSteps(20));
        assertEquals(2, unset.schedule().warmupStepsOf(8));
    }

    @Test
    void earlyStoppingNeedsScoringsInBetween() {
        assertRefused("early_stopping_patience", "eval_steps above 0 with it",
                TrainingArguments.builder().earlyStoppingPatience(2));
        TrainingArguments.builder().earlyStoppingPatience(2).evalSteps(10).build();
        assertRefused("eval_steps", "a number of steps, or 0 for none in between",
                TrainingArguments.builder().evalSteps(-1));
        assertRefused("metric_for_best_model", "the name of a score",
                TrainingArguments.builder().metricForBestModel(" "));
    }

    /** What is set under a name is read under it, and its option, if it has one, is named alike. */
    @Test
    void settersArgumentsAndOptionsHaveTheSameNames() {
        TrainingArguments arguments = TrainingArguments.builder().optim("adamw")
                .learningRate("learning_rate_vector_bank", 1).learningRate("learning_rate_logits", 2)
                .learningRate(3).learningRateHead(4).weightDecay(5).adamBeta1(0.6).adamBeta2(0.7).adamEpsilon(8)
                .maxGradNorm(9).lrSchedulerType(LrSchedulerType.COSINE).warmupRatio(0.1).warmupSteps(11)
                .perDeviceTrainBatchSize(12).perDeviceEvalBatchSize(13).gradientAccumulationSteps(14)
                .numTrainEpochs(15).maxSteps(16).shuffle(false).groupByLength(true).evalSteps(17)
                .metricForBestModel("f1").loadBestModelAtEnd(true).earlyStoppingPatience(18).seed(19).build();
        assertEquals(new TrainingArguments(
                new OptimizerArguments("adamw", Map.of("learning_rate_vector_bank", 1.0, "learning_rate_logits", 2.0,
                        "learning_rate", 3.0, "learning_rate_head", 4.0), 5, 0.6, 0.7, 8, 9),
                new ScheduleArguments(LrSchedulerType.COSINE, 0.1, 11, 15, 16),
                new BatchArguments(12, 14, false, true),
                new EvaluationArguments(13, 17, "f1", true, 18), 19), arguments);

        // Learning rates of methods are options of the methods.
        String[] options = {"--optim=adamw", "--learning-rate=3", "--learning-rate-head=4", "--weight-decay=5",
            "--max-grad-norm=9",
            "--lr-scheduler-type=cosine", "--warmup-ratio=0.1", "--warmup-steps=11", "--per-device-train-batch-size=12",
            "--per-device-eval-batch-size=13", "--gradient-accumulation-steps=14", "--num-train-epochs=15",
            "--max-steps=16", "--no-shuffle", "--group-by-length", "--eval-steps=17", "--metric-for-best-model=f1",
            "--load-best-model-at-end", "--early-stopping-patience=18", "--seed=19"};
        TrainingArguments.Builder builder = TrainingArguments.builder().adamBeta1(0.6).adamBeta2(0.7).adamEpsilon(8)
                .learningRate("learning_rate_vector_bank", 1).learningRate("learning_rate_logits", 2);
        CommandSpec spec = CommandSpec.create().addMixin("training", CommandSpec.forAnnotatedObject(builder));
        assertEquals(options.length, spec.options().size());
        new CommandLine(spec).setCaseInsensitiveEnumValuesAllowed(true).parseArgs(options);
        assertEquals(arguments, builder.build());
    }
}
