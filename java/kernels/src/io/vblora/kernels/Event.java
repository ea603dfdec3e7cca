package io.vblora.kernels;

import static io.vblora.kernels.global.vblora.vbl_event_create;
import static io.vblora.kernels.global.vblora.vbl_event_destroy;
import static io.vblora.kernels.global.vblora.vbl_event_elapsed;
import static io.vblora.kernels.global.vblora.vbl_event_query;
import static io.vblora.kernels.global.vblora.vbl_event_record;
import static io.vblora.kernels.global.vblora.vbl_event_synchronize;

import io.vblora.kernels.bindings.vbl_event;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.IntPointer;

/**
 * A mark in the work of a device's streams, to wait for and to measure time with. On the CPU, where a stream runs each
 * op at once, a mark is reached as soon as it is set. Used by one thread at a time.
 */
public final class Event implements AutoCloseable {
    private final vbl_event handle = new vbl_event();
    /** Receives the answers of {@link #isDone}, which is called in loops. */
    private final IntPointer done;
    private boolean closed;

    /** An event of a device, not yet recorded. */
    public Event(Device device) {
        NativeLibrary.load();
        KernelException.check(vbl_event_create(device.index(), handle));
        done = new IntPointer(1);
    }

    /**
     * Marks the end of what the stream, which must be of this event's device, has been given so far; an earlier mark is
     * forgotten.
     */
    public Event record(Stream stream) {
        stream.run(real -> vbl_event_record(handle(), real));
        return this;
    }

    /** Waits until the work before the mark is done. */
    public void synchronize() {
        KernelException.check(vbl_event_synchronize(handle()));
    }

    /** Whether the work before the mark is done; does not wait for it. */
    public boolean isDone() {
        KernelException.check(vbl_event_query(handle(), done));
        return done.get() != 0;
    }

    /** Milliseconds from the earlier mark to this one; both must be done. */
    public float millisecondsSince(Event earlier) {
        try (FloatPointer milliseconds = new FloatPointer(1)) {
            KernelException.check(vbl_event_elapsed(earlier.handle(), handle(), milliseconds));
            return milliseconds.get();
        }
    }

    vbl_event handle() {
        if (closed) {
            throw new IllegalStateException("The event is closed");
        }
        return handle;
    }

    /** Frees the event. Calling it again does nothing. */
    @Override
    public void close() {
        if (!closed) {
            closed = true;
            done.close();
            KernelException.check(vbl_event_destroy(handle));
        }
    }
}
