package io.vblora.kernels;

import io.vblora.kernels.ops.ActiveSet;
import io.vblora.kernels.ops.AdamWGroups;
import io.vblora.kernels.ops.AdamWOps;
import io.vblora.kernels.ops.Admixture;
import io.vblora.kernels.ops.AdmixtureShape;
import io.vblora.kernels.ops.GradientNorm;
import io.vblora.kernels.ops.Memory;
import io.vblora.kernels.ops.StepState;
import org.bytedeco.javacpp.Pointer;

/**
 * VB-LoRA for another library's model: that one owns A, Bᵀ and their gradients, and perhaps the CUDA stream; this owns
 * bank, logits and optimizer state. docs/raw-pointers.md tells the rules.
 */
final class RawPointersExample implements AutoCloseable {
    private static final int BANK = 0;
    private static final int LOGITS = 1;
    private static final int NUM_VECTORS = 256;
    private static final int VECTOR_LENGTH = 64;
    private static final int TOPK = 2;

    private final Stream stream;
    private final Tensors memory;
    private final AdmixtureShape shape;
    private final Tensor bank;
    private final Tensor logits;
    private final Tensor packed;
    private final Tensor packedGradient;
    private final Tensor indices;
    private final Tensor weights;
    private final Tensor badRow;
    private final Tensor dlogits;
    private final Tensor dbank;
    private final Tensor expAvg;
    private final Tensor expAvgSq;
    private final Tensor squares;
    private final Tensor scratch;
    private final ActiveSet active;
    private final StepState step;
    private final AdamWGroups groups;

    /**
     * @param device where the other library's memory lies
     * @param cudaStream its cudaStream_t; unused on the CPU
     * @param rows sub-vectors of all its A and Bᵀ
     * @param theirPacked float32 [rows · VECTOR_LENGTH]: each A as [r, in], each B as its transpose [r, out]
     * @param theirGradient the gradients, laid out alike
     */
    RawPointersExample(Device device, Pointer cudaStream, long rows, Pointer theirPacked, Pointer theirGradient) {
        stream = device.isCpu() ? Stream.cpu(0) : Stream.wrap(device, cudaStream);
        // Nothing is copied: their memory, seen as tensors. It must outlive this object.
        packed = Tensor.wrap(device, DType.FLOAT32, theirPacked, rows * VECTOR_LENGTH);
        packedGradient = Tensor.wrap(device, DType.FLOAT32, theirGradient, rows * VECTOR_LENGTH);

        shape = new AdmixtureShape(rows, NUM_VECTORS, VECTOR_LENGTH, TOPK, null);
        memory = new Tensors(device);
        bank = memory.allocate(DType.FLOAT32, NUM_VECTORS, VECTOR_LENGTH);
        logits = memory.allocate(DType.FLOAT32, rows, NUM_VECTORS);
        indices = memory.allocate(DType.INT32, rows, TOPK);
        weights = memory.allocate(DType.FLOAT32, rows, TOPK);
        badRow = memory.allocate(DType.INT64, 1);
        dlogits = memory.allocate(DType.FLOAT32, rows, TOPK);
        dbank = memory.allocate(DType.FLOAT32, NUM_VECTORS, VECTOR_LENGTH);
        expAvg = memory.allocate(DType.FLOAT32, NUM_VECTORS, VECTOR_LENGTH);
        expAvgSq = memory.allocate(DType.FLOAT32, NUM_VECTORS, VECTOR_LENGTH);
        squares = memory.allocate(DType.FLOAT64, 1);
        long bytes = Math.max(Admixture.backwardScratchBytes(stream, shape),
                Math.max(AdamWOps.activeScratchBytes(stream, shape),
                        Math.max(GradientNorm.sumSquaresScratchBytes(stream, dbank.elements()),
                                GradientNorm.sumSquaresScratchBytes(stream, dlogits.elements()))));
        scratch = memory.allocate(DType.UINT8, bytes);
        // Room for every entry: no row's list can overflow, and nobody has to watch max_count.
        active = new ActiveSet(device, shape, NUM_VECTORS, 4 * TOPK);
        step = new StepState(device);
        groups = new AdamWGroups(device, 2);
    }

    /** Sets the parameters and composes the first A and Bᵀ. */
    void begin(float[] bankValues, float[] logitsValues) {
        bank.copyFrom(bankValues);
        logits.copyFrom(logitsValues);
        Admixture.select(stream, shape, logits, indices, weights, badRow);
        AdamWOps.activeLoad(stream, shape, active, logits, null, null, scratch);
        Admixture.compose(stream, shape, bank, indices, weights, packed);
    }

    /** From the gradients of A and Bᵀ to the next A and Bᵀ, in the order of the other library's stream. */
    void update(int number, double learningRateBank, double learningRateLogits, float maxNorm) {
        step.step(number).upload(stream);
        groups.set(BANK, number, learningRateBank, 0.9, 0.999, 1e-8, 0)
                .set(LOGITS, number, learningRateLogits, 0.9, 0.999, 1e-8, 0).upload(stream);
        Admixture.backward(stream, shape, bank, indices, weights, packedGradient, dlogits, dbank, scratch);
        Memory.zero(stream, squares);
        GradientNorm.sumSquares(stream, dbank, squares, scratch);
        GradientNorm.sumSquares(stream, dlogits, squares, scratch);
        GradientNorm.clip(stream, squares, maxNorm, step);
        AdamWOps.adamw(stream, step, groups, BANK, bank, dbank, expAvg, expAvgSq);
        AdamWOps.adamwActiveSelect(stream, shape, active, step, groups, LOGITS, logits, dlogits, indices, weights,
                badRow, scratch);
        Admixture.compose(stream, shape, bank, indices, weights, packed);
    }

    /** The lowest row without usable logits, -1 if there is none. Waits. */
    long badRow() {
        return badRow.getLong(0);
    }

    @Override
    public void close() {
        stream.synchronize();
        step.close();
        groups.close();
        active.close();
        memory.close();
        stream.close();
    }
}
