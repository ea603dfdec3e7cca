package io.vblora.bench;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import io.vblora.kernels.Tensor;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Ours, and what is measured of it. That libtorch computes the same is checked by each run of the benchmark. */
class VbLoraStepTest {
    private static final long SEED = 7;

    /** 4 · (sum of in and out of all layers) / 256, the dimensions being those of the papers. */
    @Test
    void modelsHaveTheirSubVectors() {
        assertEquals(72, AdaptedModel.ROBERTA_BASE.modules().size());
        assertEquals(7, AdaptedModel.LLAMA2_7B_LAYER.modules().size());
        try (VbLoraStep roberta = new VbLoraStep(AdaptedModel.ROBERTA_BASE, 4, 1, SEED);
                VbLoraStep llama = new VbLoraStep(AdaptedModel.LLAMA2_7B_LAYER, 4, 1, SEED)) {
            assertEquals(4 * 12 * (4 * (768 + 768) + 2 * (768 + 3072)) / 256, roberta.rows());
            assertEquals(4 * (4 * (4096 + 4096) + 3 * (4096 + 11008)) / 256, llama.rows());
        }
    }

    /** Dense and with active sets: every batch of steps begins with the same state, so it ends with the same. */
    @ParameterizedTest
    @ValueSource(ints = {20, 256})
    void aBatchOfStepsRepeatsItself(int numVectors) {
        try (VbLoraStep step = new VbLoraStep(AdaptedModel.LLAMA2_7B_LAYER, numVectors, 2, SEED);
                Gradients gradients = new Gradients(step.composition().packed().elements(), SEED);
                MidTraining midTraining = new MidTraining(step, numVectors, 8, SEED)) {
            Tensor gradient = gradients.next();
            float[] first = batch(step, gradient);
            midTraining.restore();
            assertArrayEquals(first, batch(step, gradient));
            assertFalse(Arrays.equals(first, batch(step, gradient)), "further steps change nothing");
        }
    }

    /** A and Bᵀ after a few steps. */
    private static float[] batch(VbLoraStep step, Tensor gradient) {
        for (int i = 0; i < 3; i++) {
            step.setGradient(gradient);
            step.backward();
            step.update();
            step.zeroGradient();
        }
        float[] zeros = step.composition().packedGradient().toFloats();
        assertArrayEquals(new float[zeros.length], zeros);
        return step.composition().packed().toFloats();
    }
}
