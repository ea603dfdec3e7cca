package io.vblora.model;

import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Transformer;

/**
 * The tables of a rotary position embedding, as long as the longest sequence so far: cos, sin [positions, headDim / 2].
 */
final class RotaryEmbedding implements AutoCloseable {
    private final double[] inverseFrequencies;
    private final int headDim;
    private Tensor cos;
    private Tensor sin;

    RotaryEmbedding(RopeParameters parameters, int headDim) {
        this.inverseFrequencies = parameters.inverseFrequencies(headDim);
        this.headDim = headDim;
    }

    /** Makes sure that the tables reach a sequence length; computed in float64. */
    void reserve(Stream stream, int length) {
        if (cos != null && cos.dimension(0) >= length) {
            return;
        }
        int half = inverseFrequencies.length;
        float[] c = new float[length * half];
        float[] s = new float[length * half];
        for (int position = 0; position < length; position++) {
            for (int i = 0; i < half; i++) {
                double angle = position * inverseFrequencies[i];
                c[position * half + i] = (float) Math.cos(angle);
                s[position * half + i] = (float) Math.sin(angle);
            }
        }
        close();
        cos = Tensor.allocate(stream.device(), DType.FLOAT32, length, half).copyFrom(c);
        sin = Tensor.allocate(stream.device(), DType.FLOAT32, length, half).copyFrom(s);
    }

    /** Rotates x [tokens, heads · headDim] in place, or back. */
    void apply(Execution run, int heads, Tensor positions, boolean inverse, Tensor x) {
        Transformer.rope(run.stream(), heads, headDim, positions, cos, sin, inverse, x);
    }

    @Override
    public void close() {
        if (cos != null) {
            cos.close();
            sin.close();
        }
    }
}
