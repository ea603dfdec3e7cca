package io.vblora.train;

import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Memory;
import io.vblora.kernels.ops.StepState;
import java.util.Arrays;

/** Sums that the ops of an optimizer step leave on the device. The host reads them when all ops are done. */
final class Readings implements AutoCloseable {
    /** float64: the sum of squares of all gradients, then the loss of each micro-batch. */
    private final Tensor sums;

    /** @param microBatches the most micro-batches of a step */
    Readings(Device device, int microBatches) {
        sums = Tensor.allocate(device, DType.FLOAT64, 1 + microBatches);
    }

    /** Begins a step: all sums are 0. */
    void begin(Stream stream) {
        Memory.zero(stream, sums);
    }

    /** Where the sum of squares of all gradients goes, float64 [1]. */
    Tensor squares() {
        return sums.view(0, 1);
    }

    /** Where the loss of a micro-batch goes, float64 [1]. */
    Tensor loss(int microBatch) {
        return sums.view(1 + microBatch, 1);
    }

    /**
     * What the host learns about a step.
     *
     * @param lossSum the sum of the losses, which are added up in the order of the micro-batches
     * @param gradientNorm the norm of all gradients after their scaling and before clipping: the bits that the clipping
     * has on the device, where they would have to be fetched by a copy of their own
     */
    record Values(double lossSum, float gradientNorm) {}

    /**
     * Waits for the stream and reads all sums in one copy.
     *
     * @param step the step that they belong to
     */
    Values read(Stream stream, StepState step) {
        stream.synchronize();
        double[] values = sums.toDoubles();
        return new Values(Arrays.stream(values).skip(1).reduce(0, Double::sum),
                (float) (Math.sqrt(values[0]) * step.gradientScale()));
    }

    @Override
    public void close() {
        sums.close();
    }
}
