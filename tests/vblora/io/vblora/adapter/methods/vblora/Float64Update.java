package io.vblora.adapter.methods.vblora;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.kernels.Tensor;
import io.vblora.weights.SafetensorsFile;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;

/**
 * The delta weights of a module in float64, by the definition (arXiv 2405.15179) from the numbers in a folder; and how
 * far PEFT can be from them, which takes float32 logarithms of stored weights when it loads them.
 *
 * @param values [out, in], or [in, out] with fan_in_fan_out
 * @param restoring largest error of each value that PEFT's storing and restoring can cause
 */
record Float64Update(double[] values, double[] restoring) {
    /** Half a unit in the last place, relative: what rounding to float32 costs. */
    private static final double U = 0x1p-24;

    /** Numbers in PEFT's order and, for each, the largest error that restoring can cause. */
    private record Matrix(double[] values, double[] errors) {}

    /** The mixing of one sub-vector: bank rows, weights, and the largest relative error of each restored weight. */
    private record Mix(int[] rows, double[] weights, double[] errors) {}

    static Float64Update read(VbLoraConfig config, SafetensorsFile file, String path) {
        Matrix a = compose(config, file, VbLoraKeys.logitsA(path), true);
        Matrix b = compose(config, file, VbLoraKeys.logitsB(path), false);
        int r = config.r();
        int in = a.values.length / r;
        int out = b.values.length / r;
        double[] values = new double[out * in];
        double[] restoring = new double[out * in];
        for (int o = 0; o < out; o++) {
            for (int i = 0; i < in; i++) {
                int at = config.fanInFanOut() ? i * out + o : o * in + i;
                for (int k = 0; k < r; k++) {
                    double x = b.values[o * r + k];
                    double y = a.values[k * in + i];
                    double dx = b.errors[o * r + k];
                    double dy = a.errors[k * in + i];
                    values[at] += x * y;
                    restoring[at] += Math.abs(x) * dy + dx * Math.abs(y) + dx * dy;
                }
            }
        }
        return new Float64Update(values, restoring);
    }

    /** A [r, in] or B [out, r]. */
    private static Matrix compose(VbLoraConfig config, SafetensorsFile file, String name, boolean isA) {
        int b = config.vectorLength();
        int r = config.r();
        double[] bank = doubles(file, VbLoraKeys.VECTOR_BANK);
        Mix[] mixes = config.saveOnlyTopkWeights() ? stored(config, file, name) : selected(config, file, name);
        int blocks = mixes.length / r;
        double[] values = new double[mixes.length * b];
        double[] errors = new double[mixes.length * b];
        for (int row = 0; row < mixes.length; row++) {
            Mix mix = mixes[row];
            double mean = IntStream.range(0, mix.rows.length).mapToDouble(s -> mix.weights[s] * mix.errors[s]).sum();
            for (int j = 0; j < b; j++) {
                int at = isA ? row * b + j : (row / r * b + j) * r + row % r;
                for (int s = 0; s < mix.rows.length; s++) {
                    double v = bank[mix.rows[s] * b + j];
                    values[at] += mix.weights[s] * v;
                    // A softmax of logits that are off by e_s: every weight changes by e_s and by the mean of all.
                    errors[at] += mix.weights[s] * (mix.errors[s] + mean) * Math.abs(v);
                }
            }
        }
        assertEquals(isA ? r * blocks * b : blocks * b * r, values.length);
        return new Matrix(values, errors);
    }

    /** The k largest of each row of logits and their softmax; nothing is stored and restored. */
    private static Mix[] selected(VbLoraConfig config, SafetensorsFile file, String name) {
        double[] logits = doubles(file, name);
        int h = config.numVectors();
        int k = config.topk();
        Mix[] mixes = new Mix[logits.length / h];
        for (int row = 0; row < mixes.length; row++) {
            int first = row * h;
            int[] best = IntStream.range(0, h).boxed()
                    .sorted(Comparator.comparingDouble((Integer s) -> -logits[first + s])).limit(k)
                    .mapToInt(Integer::intValue).toArray();
            double[] weights = Arrays.stream(best).mapToDouble(s -> Math.exp(logits[first + s] - logits[first
                    + best[0]])).toArray();
            double sum = Arrays.stream(weights).sum();
            mixes[row] = new Mix(best, Arrays.stream(weights).map(w -> w / sum).toArray(), new double[k]);
        }
        return mixes;
    }

    /** The stored indices and weights, the last weight being what is left to 1 but not negative. */
    private static Mix[] stored(VbLoraConfig config, SafetensorsFile file, String name) {
        int k = config.topk();
        double[] weights = doubles(file, name + VbLoraKeys.TOPK_WEIGHTS);
        int[] indices = indices(file, name + VbLoraKeys.TOPK_INDICES);
        Mix[] mixes = new Mix[indices.length / k];
        for (int row = 0; row < mixes.length; row++) {
            double[] own = Arrays.copyOf(Arrays.copyOfRange(weights, row * (k - 1), (row + 1) * (k - 1)), k);
            own[k - 1] = Math.max(0, 1 - Arrays.stream(own).sum());
            double[] errors = new double[k];
            for (int s = 0; s < k; s++) {
                // A float32 logarithm, right to one unit in its last place, of a float32 weight.
                errors[s] = own[s] == 0 ? 0 : 2 * U * Math.abs(Math.log(own[s]));
            }
            if (own[k - 1] > 0) {
                // One minus a float32 sum of k - 1 numbers that add up to less than 1, and its own rounding.
                errors[k - 1] += (k - 1) * U / own[k - 1];
            }
            mixes[row] = new Mix(Arrays.copyOfRange(indices, row * k, (row + 1) * k), own, errors);
        }
        return mixes;
    }

    private static double[] doubles(SafetensorsFile file, String name) {
        try (Tensor tensor = file.readFloat32(name)) {
            float[] values = tensor.toFloats();
            return IntStream.range(0, values.length).mapToDouble(i -> values[i]).toArray();
        }
    }

    private static int[] indices(SafetensorsFile file, String name) {
        try (Tensor tensor = file.read(name)) {
            ByteBuffer bytes = tensor.buffer(0, Math.toIntExact(tensor.bytes()));
            return IntStream.range(0, Math.toIntExact(tensor.elements())).map(i -> switch (tensor.dtype()) {
                case UINT8 -> bytes.get(i) & 0xff;
                case INT16 -> bytes.getShort(2 * i);
                case INT32 -> bytes.getInt(4 * i);
                default -> throw new IllegalArgumentException(tensor.toString());
            }).toArray();
        }
    }

    private double largest() {
        return Arrays.stream(values).map(Math::abs).max().orElseThrow();
    }

    /** Largest difference over the largest magnitude. */
    double error(float[] found) {
        assertEquals(values.length, found.length);
        double difference = 0;
        for (int i = 0; i < found.length; i++) {
            assertTrue(Float.isFinite(found[i]), "element " + i);
            difference = Math.max(difference, Math.abs(found[i] - values[i]));
        }
        return difference / largest();
    }

    /** Requires what PEFT restores, but for NaN: there its last weight became negative. */
    void assertRestored(String where, float[] peft) {
        assertEquals(values.length, peft.length, where);
        double rounding = U * largest();
        for (int i = 0; i < peft.length; i++) {
            if (!Float.isNaN(peft[i])) {
                assertEquals(values[i], peft[i], restoring[i] + rounding, where + " element " + i);
            }
        }
    }
}
