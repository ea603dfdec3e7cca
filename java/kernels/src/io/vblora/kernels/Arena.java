package io.vblora.kernels;

import java.util.ArrayList;
import java.util.List;

/**
 * Memory for the intermediate tensors of one pass: it is taken from the front, and given back by returning to a mark.
 * Nothing is allocated between {@link #reserve} calls. Tensors that are given back are closed, and so are their views.
 * A planning arena hands out tensors without memory and only counts; running the same code over both ensures that plan
 * and execution cannot disagree. Not thread-safe.
 */
public final class Arena implements AutoCloseable {
    private static final long ALIGNMENT = 64;
    /** The most bytes that it grows by beyond what is needed. */
    private static final long MOST_SPARE = 64L << 20;

    private final Device device;
    private final boolean planning;
    /** The tensors that were taken and not given back, and where each begins. */
    private final List<Taken> taken = new ArrayList<>();
    private Tensor memory;
    private long used;
    private long peak;

    private record Taken(Tensor tensor, long offset) {}

    private Arena(Device device, boolean planning) {
        this.device = device;
        this.planning = planning;
    }

    /** An arena that has no memory yet. */
    public static Arena on(Device device) {
        return new Arena(device, false);
    }

    /** An arena that only counts. */
    public static Arena planning(Device device) {
        return new Arena(device, true);
    }

    /**
     * Makes sure that the arena, which must be empty, holds this many bytes. It grows by half, or 64 MiB if that is
     * less, so that passes of slowly rising size do not each allocate.
     *
     * @throws KernelException if the memory is not available; the arena then has none
     */
    public void reserve(long bytes) {
        if (used != 0 || planning) {
            throw new IllegalStateException(planning ? "A planning arena has no memory" : "The arena is in use");
        }
        if (memory == null || memory.bytes() < bytes) {
            long held = memory == null ? 0 : memory.bytes();
            long larger = Math.max(bytes, Math.min(held + held / 2, bytes + MOST_SPARE));
            close();
            memory = allocate(larger, bytes);
        }
    }

    private Tensor allocate(long wanted, long needed) {
        try {
            return Tensor.allocate(device, DType.UINT8, wanted);
        } catch (KernelException e) {
            if (wanted == needed) {
                throw e;
            }
            return Tensor.allocate(device, DType.UINT8, needed);
        }
    }

    /** Takes a tensor with undefined contents. It is valid until the arena returns to an earlier mark or is closed. */
    public Tensor take(DType dtype, long... shape) {
        // At least one byte, so that no two tensors begin at the same offset and a mark lies before or after each of
        // them.
        long bytes = Math.max(1, Math.multiplyExact(Tensor.count(shape), dtype.bytes()));
        long offset = used;
        long end = Math.addExact(used, Math.addExact(bytes, ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
        long held = memory == null ? 0 : memory.bytes();
        if (!planning && end > held) {
            throw new IllegalStateException("The arena holds " + held + " bytes, " + end
                    + " are needed: the pass was not planned");
        }
        used = end;
        peak = Math.max(peak, used);
        if (planning) {
            return Tensor.imaginary(device, dtype, shape);
        }
        Tensor tensor = memory.piece(offset, dtype, shape);
        taken.add(new Taken(tensor, offset));
        return tensor;
    }

    /** Takes a float32 tensor. */
    public Tensor floats(long... shape) {
        return take(DType.FLOAT32, shape);
    }

    /** The current mark. */
    public long mark() {
        return used;
    }

    /** Gives back everything taken since a mark. */
    public void release(long mark) {
        if (mark < 0 || mark > used) {
            throw new IllegalArgumentException("Mark " + mark + " does not lie in 0 .. " + used);
        }
        used = mark;
        while (!taken.isEmpty() && taken.get(taken.size() - 1).offset >= mark) {
            taken.remove(taken.size() - 1).tensor.close();
        }
    }

    /** The most bytes in use at once so far. */
    public long peak() {
        return peak;
    }

    /** Frees the memory and closes all tensors taken from it. */
    @Override
    public void close() {
        release(0);
        if (memory != null) {
            memory.close();
            memory = null;
        }
    }
}
