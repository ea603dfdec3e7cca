package io.vblora.adapter;

import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Tensor;
import java.util.Arrays;

/** Delta weights: scaling · B A. */
final class Delta {
    private Delta() {}

    static long[] shape(AdaptedModule module, boolean fanInFanOut) {
        return fanInFanOut ? new long[] {module.inFeatures(), module.outFeatures()}
                : new long[] {module.outFeatures(), module.inFeatures()};
    }

    static Tensor of(AdaptedModule module, boolean fanInFanOut) {
        // Row i of the result sums over the rank: left[:, i] times right.
        float[] left = (fanInFanOut ? module.a() : module.bt()).toFloats();
        float[] right = (fanInFanOut ? module.bt() : module.a()).toFloats();
        long[] shape = shape(module, fanInFanOut);
        int rows = Math.toIntExact(shape[0]);
        int columns = Math.toIntExact(shape[1]);
        Tensor delta = Tensor.allocate(Device.CPU, DType.FLOAT32, shape);
        double[] sum = new double[columns];
        float[] row = new float[columns];
        for (int i = 0; i < rows; i++) {
            Arrays.fill(sum, 0);
            for (int k = 0; k < module.r(); k++) {
                double factor = (double) module.scaling() * left[k * rows + i];
                int offset = k * columns;
                for (int j = 0; j < columns; j++) {
                    sum[j] += factor * right[offset + j];
                }
            }
            for (int j = 0; j < columns; j++) {
                row[j] = (float) sum[j];
            }
            delta.buffer((long) i * columns * Float.BYTES, columns * Float.BYTES).asFloatBuffer().put(row);
        }
        return delta;
    }
}
