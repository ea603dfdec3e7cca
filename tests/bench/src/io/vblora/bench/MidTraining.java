package io.vblora.bench;

import io.vblora.kernels.Tensor;
import io.vblora.optimizer.adamw.AdamW;
import io.vblora.parameters.NamedTensors;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.Map;
import java.util.SplittableRandom;

/**
 * An adapter's state in the midst of training, to come back to: of each row of the logits the largest entries have been
 * selected before, and so have moments. It decides what a step costs with active sets, and nothing elsewhere.
 */
final class MidTraining implements AutoCloseable {
    private static final long STEP = 1000;
    /** About the size of the logits' gradients that {@link Gradients} leads to. */
    private static final double GRADIENT = 6e-5;

    private final VbLoraStep step;
    private final NamedTensors parameters;
    private final NamedTensors expAvg;
    private final NamedTensors expAvgSq;

    /** {@code activeEntries}: of each row of the logits, at most num_vectors. */
    MidTraining(VbLoraStep step, int numVectors, int activeEntries, long seed) {
        this.step = step;
        this.parameters = step.composition().parameters(step.stream()).copy();
        try (var moments = step.optimizer().tensors(step.stream())) {
            this.expAvg = moments.get(AdamW.EXP_AVG).copy();
            this.expAvgSq = moments.get(AdamW.EXP_AVG_SQ).copy();
        }
        SplittableRandom random = new SplittableRandom(seed);
        parameters.asMap().forEach((name, logits) -> {
            if (!name.equals(Agreement.VECTOR_BANK)) {
                fill(numVectors, activeEntries, random, logits, expAvg.get(name), expAvgSq.get(name));
            }
        });
        restore();
    }

    private static void fill(int numVectors, int activeEntries, SplittableRandom random, Tensor logits, Tensor expAvg,
            Tensor expAvgSq) {
        FloatBuffer values = floats(logits);
        FloatBuffer first = floats(expAvg);
        FloatBuffer second = floats(expAvgSq);
        float[] sorted = new float[numVectors];
        for (int row = 0; row < values.limit(); row += numVectors) {
            values.get(row, sorted);
            Arrays.sort(sorted);
            float smallest = sorted[numVectors - activeEntries];
            for (int i = row; i < row + numVectors; i++) {
                if (values.get(i) >= smallest) {
                    first.put(i, (float) (random.nextGaussian() * GRADIENT / 4));
                    second.put(i, (float) (GRADIENT * GRADIENT));
                }
            }
        }
    }

    private static FloatBuffer floats(Tensor tensor) {
        return tensor.buffer(0, (int) tensor.bytes()).asFloatBuffer();
    }

    /** Comes back to the state. */
    void restore() {
        step.composition().loadParameters(step.stream(), parameters.asMap());
        step.optimizer().load(step.stream(), Map.of(AdamW.EXP_AVG, expAvg.asMap(),
                AdamW.EXP_AVG_SQ, expAvgSq.asMap()));
        step.setStep(STEP);
    }

    @Override
    public void close() {
        parameters.close();
        expAvg.close();
        expAvgSq.close();
    }
}
