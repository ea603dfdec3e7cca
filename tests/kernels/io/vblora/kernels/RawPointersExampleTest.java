package io.vblora.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** The example learns: A and Bᵀ of somebody else come near what they should be. */
@TestDevice.OnAny
class RawPointersExampleTest {
    private static final int ROWS = 40;
    private static final int LENGTH = 64;

    @Test
    void approachesAMixtureOfTheBank() {
        SplittableRandom random = new SplittableRandom(11);
        float[] bank = new float[256 * LENGTH];
        float[] logits = new float[ROWS * 256];
        float[] wanted = new float[ROWS * LENGTH];
        for (int i = 0; i < bank.length; i++) {
            bank[i] = (float) random.nextDouble(-0.02, 0.02);
        }
        for (int i = 0; i < logits.length; i++) {
            logits[i] = (float) (0.1 * random.nextGaussian());
        }
        for (int i = 0; i < wanted.length; i++) {
            wanted[i] = (float) random.nextDouble(-0.02, 0.02);
        }
        // What the other library would own.
        try (Tensor packed = TestDevice.zeros(DType.FLOAT32, ROWS * LENGTH);
                Tensor gradient = TestDevice.zeros(DType.FLOAT32, ROWS * LENGTH);
                Stream theirs = TestDevice.stream();
                RawPointersExample example = new RawPointersExample(TestDevice.DEVICE, theirs.cudaStream(), ROWS,
                        packed.pointer(), gradient.pointer())) {
            example.begin(bank, logits);
            double before = squaredError(packed.toFloats(), wanted, gradient);
            double after = before;
            for (int number = 1; number <= 10; number++) {
                example.update(number, 2e-3, 5e-2, 0);
                after = squaredError(packed.toFloats(), wanted, gradient);
            }
            assertTrue(after < 0.9 * before, before + " became " + after);
            assertEquals(-1, example.badRow());
        }
    }

    /** Half the squared error; its gradient goes to the other library's memory. */
    private static double squaredError(float[] found, float[] wanted, Tensor gradient) {
        float[] difference = new float[found.length];
        double sum = 0;
        for (int i = 0; i < found.length; i++) {
            difference[i] = found[i] - wanted[i];
            sum += difference[i] * (double) difference[i] / 2;
        }
        gradient.copyFrom(difference);
        return sum;
    }
}
