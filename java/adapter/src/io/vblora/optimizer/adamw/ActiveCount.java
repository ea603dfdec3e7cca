package io.vblora.optimizer.adamw;

import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Event;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.ActiveSet;
import io.vblora.kernels.ops.Memory;

/**
 * Bounds the number of entries in the fullest row of an active set without holding up the device. After an update,
 * max_count is copied to the host unless an earlier copy is still on its way, and each update adds at most topk entries
 * to a row.
 */
final class ActiveCount implements AutoCloseable {
    private final int topk;
    /** int32 [1]. */
    private final Tensor host;
    private final Event arrived;
    /** The count after {@code knownUpdates} updates. */
    private long known;
    private long knownUpdates;
    private long updates;
    /** The update whose count is on its way to the host; 0 if there is none. */
    private long underway;

    ActiveCount(Device device, int topk) {
        this.topk = topk;
        this.host = device.isCpu() ? Tensor.allocate(device, DType.INT32, 1) : Tensor.pinned(DType.INT32, 1);
        try {
            this.arrived = new Event(device);
        } catch (RuntimeException | Error e) {
            host.close();
            throw e;
        }
    }

    /** Starts again with a known count. */
    void restart(int count) {
        if (underway > 0) {
            arrived.synchronize();
        }
        known = count;
        knownUpdates = 0;
        updates = 0;
        underway = 0;
    }

    /** Notes an update that was just given to the stream. */
    void updated(Stream stream, ActiveSet active) {
        updates++;
        if (underway == 0 || arrived.isDone()) {
            take();
            send(stream, active);
        }
    }

    /** A bound that is known without waiting. */
    int atMost() {
        if (underway > 0 && arrived.isDone()) {
            take();
        }
        return (int) Math.min(Integer.MAX_VALUE, known + topk * (updates - knownUpdates));
    }

    /** A closer bound, for which this waits for the count that is on its way. */
    int atMostAfterWaiting() {
        if (underway > 0) {
            arrived.synchronize();
            take();
        }
        return atMost();
    }

    private void send(Stream stream, ActiveSet active) {
        Memory.copy(stream, active.maxCount(), host);
        arrived.record(stream);
        underway = updates;
    }

    private void take() {
        if (underway > 0) {
            known = host.toInts()[0];
            knownUpdates = underway;
            underway = 0;
        }
    }

    @Override
    public void close() {
        if (underway > 0) {
            arrived.synchronize();
        }
        arrived.close();
        host.close();
    }
}
