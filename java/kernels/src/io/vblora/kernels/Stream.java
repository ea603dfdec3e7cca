package io.vblora.kernels;

import static io.vblora.kernels.global.vblora.vbl_cpu_isa;
import static io.vblora.kernels.global.vblora.vbl_stream_create;
import static io.vblora.kernels.global.vblora.vbl_stream_cuda;
import static io.vblora.kernels.global.vblora.vbl_stream_destroy;
import static io.vblora.kernels.global.vblora.vbl_stream_synchronize;
import static io.vblora.kernels.global.vblora.vbl_stream_threads;
import static io.vblora.kernels.global.vblora.vbl_stream_wait;
import static io.vblora.kernels.global.vblora.vbl_stream_wrap;

import io.vblora.kernels.bindings.vbl_stream;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.ToIntFunction;
import java.util.function.ToLongFunction;
import org.bytedeco.javacpp.Pointer;

/**
 * An execution queue on one device. A CPU stream owns a team of threads and runs each op to its end before returning;
 * results do not depend on the number of threads. A CUDA stream only queues ops: what they write may be used by later
 * ops on it, by another stream that {@link #waitFor waits for an event}, or by the host once {@link #synchronize} has
 * returned. Used by one thread at a time: a thread that runs an op, or closes the stream, while another one runs an op
 * on it gets an {@link IllegalStateException} and changes nothing. Close it to free the threads.
 */
public final class Stream implements AutoCloseable {
    private enum State { FREE, BUSY, CLOSED }

    private final Device device;
    private final vbl_stream handle;
    private final int threads;
    private final boolean planning;
    /** Shared with the planning streams of this one. */
    private final AtomicReference<State> state;

    private Stream(Stream real) {
        this.device = real.device;
        this.handle = real.handle;
        this.threads = real.threads;
        this.planning = true;
        this.state = real.state;
        requireOpen();
    }

    private Stream(Device device, ToIntFunction<vbl_stream> create) {
        NativeLibrary.load();
        this.device = device;
        this.handle = new vbl_stream();
        KernelException.check(create.applyAsInt(handle));
        this.threads = vbl_stream_threads(handle);
        this.planning = false;
        this.state = new AtomicReference<>(State.FREE);
    }

    /**
     * A CPU stream with the given number of threads, the caller's included; 0 stands for all that this process may use.
     */
    public static Stream cpu(int threads) {
        return on(Device.CPU, threads);
    }

    /** A stream on a device; {@code threads} matters on the CPU only. */
    public static Stream on(Device device, int threads) {
        return new Stream(device, created -> vbl_stream_create(device.index(), threads, created));
    }

    /**
     * A stream over somebody else's {@code cudaStream_t}, which remains theirs and must outlive this one; null is the
     * device's default stream. {@link #close Closing} it does not wait.
     */
    public static Stream wrap(Device device, Pointer cudaStream) {
        return new Stream(device, created -> vbl_stream_wrap(device.index(), cudaStream, created));
    }

    /**
     * A stream on which ops check their arguments and do nothing else. With an {@link Arena#planning} arena, it makes a
     * dry run of a model's code that tells how much memory the real run on this stream takes. Closing it does nothing;
     * it is closed with this stream.
     */
    public Stream planning() {
        return new Stream(this);
    }

    /** Whether ops on this stream only check their arguments. */
    public boolean isPlanning() {
        return planning;
    }

    public Device device() {
        return device;
    }

    /** CPU threads; 0 on other devices. */
    public int threads() {
        return threads;
    }

    /** Instruction set of CPU ops: avx512, avx2 or generic. */
    public static String cpuInstructionSet() {
        NativeLibrary.load();
        return vbl_cpu_isa().getString();
    }

    /**
     * Runs a native op, which gets this stream's handle and returns its status; does nothing on a planning stream. The
     * handle is valid only inside the op.
     *
     * @throws KernelException if the op fails
     * @throws IllegalStateException if the stream is closed or in use by another thread
     */
    public void run(ToIntFunction<vbl_stream> op) {
        if (planning) {
            requireOpen();
            return;
        }
        acquire();
        try {
            KernelException.check(op.applyAsInt(handle));
        } finally {
            state.setRelease(State.FREE);
        }
    }

    /**
     * Asks how many scratch bytes a native op needs, on a planning stream as well.
     *
     * @throws KernelException if the answer is negative, which is a status with a minus sign: the op would refuse such
     *     arguments
     * @throws IllegalStateException as {@link #run}
     */
    public long scratchBytes(ToLongFunction<vbl_stream> query) {
        acquire();
        try {
            long bytes = query.applyAsLong(handle);
            if (bytes < 0) {
                KernelException.check(Math.toIntExact(-bytes));
            }
            return bytes;
        } finally {
            state.setRelease(State.FREE);
        }
    }

    /**
     * The {@code cudaStream_t} of a CUDA stream, for calls of other libraries, valid until this is closed; null on the
     * CPU and for a device's default stream.
     */
    public Pointer cudaStream() {
        requireOpen();
        return vbl_stream_cuda(handle);
    }

    /** Everything that this stream is given from now on waits until the work that the event marks is done. */
    public void waitFor(Event event) {
        run(real -> vbl_stream_wait(real, event.handle()));
    }

    /** Waits until all work of this stream is done. */
    public void synchronize() {
        run(real -> vbl_stream_synchronize(real));
    }

    /**
     * Frees the threads. A CUDA stream waits for its work first; a {@linkplain #wrap wrapped} one and its work are left
     * alone, since its owner may be capturing it. Calling it again does nothing.
     *
     * @throws IllegalStateException if another thread runs an op on this stream
     */
    @Override
    public void close() {
        if (!planning && state.get() != State.CLOSED) {
            acquire();
            state.set(State.CLOSED);
            KernelException.check(vbl_stream_destroy(handle));
        }
    }

    private void acquire() {
        if (!state.compareAndSet(State.FREE, State.BUSY)) {
            requireOpen();
            throw new IllegalStateException(
                    "The stream is in use by another thread: one thread at a time runs ops on it");
        }
    }

    private void requireOpen() {
        if (state.get() == State.CLOSED) {
            throw new IllegalStateException("The stream is closed");
        }
    }
}
