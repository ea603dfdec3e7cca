package io.vblora.kernels.ops;

import io.vblora.kernels.NativeLibrary;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.bindings.vbl_admixture;

/**
 * The shape of an admixture, made once: how many sub-vectors a model has, how each is mixed, and where each lies in the
 * packed buffer.
 */
public final class AdmixtureShape {
    private final long rows;
    private final int numVectors;
    private final int vectorLength;
    private final int topk;
    private final Tensor slots;
    private final vbl_admixture handle;

    /**
     * @param rows sub-vectors of all modules
     * @param numVectors vectors in the bank
     * @param vectorLength elements of a bank vector
     * @param topk vectors mixed into a sub-vector, at most {@code numVectors}
     * @param slots int32 [rows] on the device of the ops, a permutation of 0 .. rows-1: the packed place of each row;
     *     null is the identity. It stays the caller's and must outlive this object.
     */
    public AdmixtureShape(long rows, int numVectors, int vectorLength, int topk, Tensor slots) {
        if (rows < 1 || rows > Integer.MAX_VALUE || numVectors < 1 || vectorLength < 1 || topk < 1
                || topk > numVectors) {
            throw new IllegalArgumentException("An admixture of " + rows + " rows, num_vectors " + numVectors
                    + ", vector_length " + vectorLength + ", topk " + topk + " cannot be");
        }
        NativeLibrary.load();
        this.rows = rows;
        this.numVectors = numVectors;
        this.vectorLength = vectorLength;
        this.topk = topk;
        this.slots = slots;
        this.handle = new vbl_admixture();
        handle.rows(rows).num_vectors(numVectors).vector_length(vectorLength).topk(topk).slots(null);
    }

    public long rows() {
        return rows;
    }

    public int numVectors() {
        return numVectors;
    }

    public int vectorLength() {
        return vectorLength;
    }

    public int topk() {
        return topk;
    }

    /** Elements of the packed buffer: rows · vector_length. */
    public long packedElements() {
        return rows * vectorLength;
    }

    /** Elements of the logits matrix: rows · num_vectors. */
    long logitsElements() {
        return rows * numVectors;
    }

    /** Elements of the selected indices and weights: rows · topk. */
    long selectedElements() {
        return rows * topk;
    }

    /** Elements of the bank: num_vectors · vector_length. */
    long bankElements() {
        return (long) numVectors * vectorLength;
    }

    /** The native descriptor, after a check that its slots are open and lie on the stream's device. */
    vbl_admixture handle(Stream stream) {
        if (slots != null) {
            Check.ints(stream, "slots", slots, rows);
            handle.slots(slots.pointer());
        }
        return handle;
    }
}
