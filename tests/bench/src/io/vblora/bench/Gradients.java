package io.vblora.bench;

import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.Tensors;
import java.nio.FloatBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/** What a model's backward passes would leave in packed dA and dBᵀ: normal numbers, a few sets of them in turn. */
final class Gradients implements AutoCloseable {
    /** Their size is all one to AdamW, as long as its epsilon is small beside them. */
    private static final double STANDARD_DEVIATION = 1e-3;
    private static final int SETS = 16;

    private final Tensors memory = new Tensors(Device.CPU);
    private final List<Tensor> sets = new ArrayList<>();
    private int next;

    Gradients(long elements, long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        for (int i = 0; i < SETS; i++) {
            Tensor set = memory.allocate(DType.FLOAT32, elements);
            FloatBuffer values = set.buffer(0, (int) set.bytes()).asFloatBuffer();
            while (values.hasRemaining()) {
                values.put((float) (random.nextGaussian() * STANDARD_DEVIATION));
            }
            sets.add(set);
        }
    }

    /** The next set. */
    Tensor next() {
        return sets.get(next++ % SETS);
    }

    @Override
    public void close() {
        memory.close();
    }
}
