package io.vblora.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.vblora.InputException;
import org.junit.jupiter.api.Test;

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
                TrainingArguments.builder().gradientAccumulationSteps(65536).build().gradientAccumulationSteps());
        for (int wrong : new int[] {0, 65537}) {
            assertRefused("gradient_accumulation_steps", "1 to 65536",
                    TrainingArguments.builder().gradientAccumulationSteps(wrong));
        }
    }

    @Test
    void minusOneLeavesStepsUnset() {
        TrainingArguments unset = TrainingArguments.builder().maxSteps(-1).warmupSteps(-1).numTrainEpochs(2)
                .perDeviceTrainBatchSize(5).warmupRatio(0.25).build();
        assertEquals(8, unset.totalSteps(20));
        assertEquals(2, unset.warmupStepsOf(8));
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
}
