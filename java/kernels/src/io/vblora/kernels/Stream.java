package io.vblora.kernels;

import static io.vblora.kernels.global.vblora.vbl_cpu_isa;
import static io.vblora.kernels.global.vblora.vbl_stream_create;
import static io.vblora.kernels.global.vblora.vbl_stream_destroy;
import static io.vblora.kernels.global.vblora.vbl_stream_synchronize;
import static io.vblora.kernels.global.vblora.vbl_stream_threads;

import io.vblora.kernels.bindings.vbl_stream;

/**
 * An execution queue on one device. A CPU stream owns a team of threads and runs each op to its end before returning;
 * results do not depend on the number of threads. Used by one thread at a time; close it to free the threads.
 */
public final class Stream implements AutoCloseable {
    private final Device device;
    private final vbl_stream handle;
    private final int threads;
    private final boolean planning;
    private boolean closed;

    private Stream(Stream real) {
        this.device = real.device;
        this.handle = real.handle();
        this.threads = real.threads;
        this.planning = true;
    }

    private Stream(Device device, int threads) {
        NativeLibrary.load();
        this.device = device;
        this.handle = new vbl_stream();
        KernelException.check(vbl_stream_create(device.index(), threads, handle));
        this.threads = vbl_stream_threads(handle);
        this.planning = false;
    }

    /** A CPU stream with the given number of threads, the caller's included; 0 takes what this process may use. */
    public static Stream cpu(int threads) {
        return new Stream(Device.CPU, threads);
    }

    /** A stream on a device; {@code threads} counts on the CPU only. */
    public static Stream on(Device device, int threads) {
        return new Stream(device, threads);
    }

    /**
     * A stream on which ops check their arguments and do nothing else: with an {@link Arena#planning} arena, a dry run of a
     * model's code that tells how much memory the real run on this stream takes. Closing it does nothing; it must not
     * outlive this stream.
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

    /** The native handle, for the raw bindings. Valid until {@link #close()}. */
    public vbl_stream handle() {
        if (closed) {
            throw new IllegalStateException("The stream is closed");
        }
        return handle;
    }

    /** Waits until all work of this stream is done. */
    public void synchronize() {
        KernelException.check(vbl_stream_synchronize(handle()));
    }

    @Override
    public void close() {
        if (!closed && !planning) {
            closed = true;
            KernelException.check(vbl_stream_destroy(handle));
        }
    }
}
