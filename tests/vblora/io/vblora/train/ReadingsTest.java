package io.vblora.train;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.TestDevice;
import io.vblora.kernels.ops.ClippedStep;
import io.vblora.kernels.ops.GradientNorm;
import io.vblora.kernels.ops.StepState;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** What the host reads after a step is what the device has. */
@TestDevice.OnAny
class ReadingsTest {
    @Test
    void theGradientNormIsThatOfTheClipping() {
        long seed = System.nanoTime();
        Random random = new Random(seed);
        try (Stream stream = TestDevice.stream(); StepState step = new StepState(TestDevice.DEVICE);
                Readings readings = new Readings(TestDevice.DEVICE, 2);
                Tensor gradient = TestDevice.zeros(DType.FLOAT32, 100);
                Tensor scratch = TestDevice.zeros(DType.UINT8, GradientNorm.sumSquaresScratchBytes(stream, 100))) {
            for (float scale : new float[] {1, 0.25f, 1 / 3f, 1 / 65536f}) {
                float[] values = new float[100];
                for (int i = 0; i < values.length; i++) {
                    values[i] = (float) random.nextGaussian();
                }
                gradient.copyFrom(values);
                step.gradientScale(scale).upload(stream);
                readings.begin(stream);
                GradientNorm.sumSquares(stream, gradient, readings.squares(), scratch);
                GradientNorm.clip(stream, readings.squares(), 1, step);
                Readings.Values read = readings.read(stream, step);
                assertEquals(ClippedStep.gradientNorm(stream, step), read.gradientNorm(),
                        "scale " + scale + ", seed " + seed);
                assertEquals(0, read.lossSum());
            }
        }
    }
}
