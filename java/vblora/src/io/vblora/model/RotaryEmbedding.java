package io.vblora.model;

import io.vblora.kernels.DType;
import io.vblora.kernels.Matrix;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Transformer;
import io.vblora.model.config.RopeParameters;
import java.util.ArrayList;
import java.util.List;

/**
 * The tables of a rotary position embedding, long enough for the longest sequence so far: cos, sin [positions,
 * headDim / 2]. Shared by passes of several threads, which may be reading shorter tables when longer ones are made: all
 * stay until this is closed, and each is at least twice as long as the one before.
 */
public final class RotaryEmbedding implements AutoCloseable {
    private final double[] inverseFrequencies;
    private final int headDim;
    private final int maxPositions;
    private volatile Tables tables = new Tables(null, null, 0);
    /** All tables. */
    private final List<Tensor> owned = new ArrayList<>();

    private record Tables(Tensor cos, Tensor sin, int positions) {}

    /** @param maxPositions no sequence is longer */
    public RotaryEmbedding(RopeParameters parameters, int headDim, int maxPositions) {
        this.inverseFrequencies = parameters.inverseFrequencies(headDim);
        this.headDim = headDim;
        this.maxPositions = maxPositions;
    }

    /** Makes sure that the tables reach a sequence length; computed in float64. */
    public void reserve(Stream stream, int length) {
        if (tables.positions < length) {
            grow(stream, length);
        }
    }

    private synchronized void grow(Stream stream, int length) {
        if (tables.positions >= length) {
            return; // another thread was here
        }
        int positions = (int) Math.max(length, Math.min(maxPositions, 2L * tables.positions));
        int half = inverseFrequencies.length;
        float[] cos = new float[Math.multiplyExact(positions, half)];
        float[] sin = new float[cos.length];
        for (int position = 0; position < positions; position++) {
            for (int i = 0; i < half; i++) {
                double angle = position * inverseFrequencies[i];
                cos[position * half + i] = (float) Math.cos(angle);
                sin[position * half + i] = (float) Math.sin(angle);
            }
        }
        tables = new Tables(table(stream, positions, half, cos), table(stream, positions, half, sin), positions);
    }

    private Tensor table(Stream stream, int positions, int half, float[] values) {
        Tensor table = Tensor.allocate(stream.device(), DType.FLOAT32, positions, half);
        owned.add(table);
        return table.copyFrom(values);
    }

    /** Rotates x [tokens, heads · headDim] in place, or back. */
    public void apply(Pass pass, int heads, Tensor positions, boolean inverse, Matrix x) {
        Tables current = tables;
        Transformer.rope(pass.stream(), heads, headDim, positions, current.cos, current.sin, inverse, x);
    }

    @Override
    public void close() {
        owned.forEach(Tensor::close);
    }
}
