package io.vblora.model;

import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.StepState;
import java.util.function.Consumer;

/** Training passes one at a time, each with a loss of its own. */
public final class OnePass {
    private OnePass() {}

    /** Runs a pass of the first step and gives its loss. */
    public static double loss(Stream stream, double gradientScale, Consumer<Training> pass) {
        try (StepState step = new StepState(stream.device())) {
            return loss(stream, step, gradientScale, pass);
        }
    }

    /** Runs a pass of a step, which is uploaded, and gives its loss. */
    public static double loss(Stream stream, StepState step, double gradientScale, Consumer<Training> pass) {
        try (Tensor lossSum = Tensor.allocate(stream.device(), DType.FLOAT64, 1)) {
            pass.accept(new Training(step, gradientScale, lossSum));
            stream.synchronize();
            return lossSum.toDoubles()[0];
        }
    }
}
