package io.vblora.kernels.ops;

import static io.vblora.kernels.global.vblora.vbl_admixture_backward;
import static io.vblora.kernels.global.vblora.vbl_admixture_backward_scratch_bytes;
import static io.vblora.kernels.global.vblora.vbl_compose;
import static io.vblora.kernels.global.vblora.vbl_select;

import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;

/**
 * The top-k admixture of VB-LoRA (arXiv 2405.15179, section 3.2) for all sub-vectors of a model at once. Shapes, with
 * those of the {@link AdmixtureShape}: logits [rows, num_vectors], bank [num_vectors, vector_length], indices (int32),
 * weights and dlogits [rows, topk], packed [rows · vector_length]; float32 unless said otherwise.
 */
public final class Admixture {
    private Admixture() {}

    /**
     * The topk largest logits of each row and their softmax, by descending logit, ties by ascending index. badRow
     * (int64, one element) becomes the lowest row that holds a NaN or whose largest logit is infinite, or -1.
     */
    public static void select(Stream stream, AdmixtureShape shape, Tensor logits, Tensor indices, Tensor weights,
            Tensor badRow) {
        Check.floats(stream, "logits", logits, shape.logitsElements());
        checkSelection(stream, shape, indices, weights);
        Check.elements(stream, "badRow", badRow, DType.INT64, 1);
        stream.run(handle -> vbl_select(handle, shape.handle(stream), logits.pointer(), indices.pointer(),
                weights.pointer(), badRow.pointer()));
    }

    /**
     * packed = the selected bank vectors times their weights, each row in its slot; packed may be of any native type.
     */
    public static void compose(Stream stream, AdmixtureShape shape, Tensor bank, Tensor indices, Tensor weights,
            Tensor packed) {
        Check.floats(stream, "bank", bank, shape.bankElements());
        checkSelection(stream, shape, indices, weights);
        Check.nativeFloat(stream, "packed", packed, shape.packedElements());
        stream.run(handle -> vbl_compose(handle, shape.handle(stream), bank.pointer(), indices.pointer(),
                weights.pointer(), packed.pointer(), packed.dtype().nativeCode()));
    }

    /** Scratch bytes of {@link #backward}. */
    public static long backwardScratchBytes(Stream stream, AdmixtureShape shape) {
        return stream.scratchBytes(handle -> vbl_admixture_backward_scratch_bytes(handle, shape.handle(stream)));
    }

    /** dpacked -> dlogits, the gradient of the selected logits, and dbank; both are overwritten. */
    public static void backward(Stream stream, AdmixtureShape shape, Tensor bank, Tensor indices, Tensor weights,
            Tensor dpacked, Tensor dlogits, Tensor dbank, Tensor scratch) {
        Check.floats(stream, "bank", bank, shape.bankElements());
        checkSelection(stream, shape, indices, weights);
        Check.floats(stream, "dpacked", dpacked, shape.packedElements());
        Check.floats(stream, "dlogits", dlogits, shape.selectedElements());
        Check.floats(stream, "dbank", dbank, shape.bankElements());
        Check.scratch(stream, scratch, backwardScratchBytes(stream, shape));
        stream.run(handle -> vbl_admixture_backward(handle, shape.handle(stream), bank.pointer(), indices.pointer(),
                weights.pointer(), dpacked.pointer(), dlogits.pointer(), dbank.pointer(), scratch.pointer(),
                scratch.bytes()));
    }

    static void checkSelection(Stream stream, AdmixtureShape shape, Tensor indices, Tensor weights) {
        Check.ints(stream, "indices", indices, shape.selectedElements());
        Check.floats(stream, "weights", weights, shape.selectedElements());
    }
}
