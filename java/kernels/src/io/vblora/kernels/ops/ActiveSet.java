package io.vblora.kernels.ops;

import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.NativeLibrary;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.Tensors;
import io.vblora.kernels.bindings.vbl_active;

/**
 * The active-set state of an admixture's logits, in device memory: per row a list of every entry that was ever
 * selected, with its logit and moments, and the best inactive entries as candidates. Built by
 * {@link AdamWOps#activeLoad} or {@link AdamWOps#activeCopy}.
 */
public final class ActiveSet implements AutoCloseable {
    private final AdmixtureShape shape;
    private final int capacity;
    private final int candidates;
    private final Device device;
    private final Tensors memory;
    private final Tensor maxCount;
    private final vbl_active handle;
    private boolean closed;

    /**
     * @param capacity entries that a row's list can hold, topk to num_vectors
     * @param candidates inactive entries kept per row, at least topk; fewer mean more rescans of rows
     */
    public ActiveSet(Device device, AdmixtureShape shape, int capacity, int candidates) {
        if (capacity < shape.topk() || capacity > shape.numVectors() || candidates < shape.topk()) {
            throw new IllegalArgumentException("An active set of capacity " + capacity + " with " + candidates
                    + " candidates does not fit topk " + shape.topk() + " of " + shape.numVectors());
        }
        NativeLibrary.load();
        this.shape = shape;
        this.capacity = capacity;
        this.candidates = candidates;
        this.device = device;
        long rows = shape.rows();
        long entries = Math.multiplyExact(rows, capacity);
        this.memory = new Tensors(device);
        Tensor integers = memory.allocate(DType.INT32, 2 * rows + entries + rows * candidates);
        Tensor floats = memory.allocate(DType.FLOAT32, 3 * entries);
        this.maxCount = memory.allocate(DType.INT32, 1);
        this.handle = new vbl_active();
        handle._capacity(capacity).candidates(candidates)
                .index(integers.view(0, entries).pointer())
                .candidate_index(integers.view(entries, rows * candidates).pointer())
                .count(integers.view(entries + rows * candidates, rows).pointer())
                .candidate_count(integers.view(entries + rows * candidates + rows, rows).pointer())
                .logit(floats.view(0, entries).pointer())
                .exp_avg(floats.view(entries, entries).pointer())
                .exp_avg_sq(floats.view(2 * entries, entries).pointer())
                .max_count(maxCount.pointer());
    }

    public int capacity() {
        return capacity;
    }

    public int candidates() {
        return candidates;
    }

    /** int32 [1] in device memory: entries of the fullest row, written by every pass. A view. */
    public Tensor maxCount() {
        return maxCount.view(0, 1);
    }

    /** Bytes of device memory. */
    public long bytes() {
        return memory.bytes();
    }

    /**
     * The native descriptor, after a check that the set is open, belongs to this shape and lies on the stream's device.
     */
    vbl_active handle(Stream stream, AdmixtureShape expected) {
        if (closed) {
            throw new IllegalStateException("The active set is closed");
        }
        if (expected != shape) {
            throw new IllegalArgumentException("The active set was made for another admixture");
        }
        if (!device.equals(stream.device())) {
            throw new IllegalArgumentException("active: found an active set on " + device + "; expected one on "
                    + stream.device());
        }
        return handle;
    }

    @Override
    public void close() {
        closed = true;
        memory.close();
    }
}
