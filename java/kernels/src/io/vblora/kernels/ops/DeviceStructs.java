package io.vblora.kernels.ops;

import static io.vblora.kernels.global.vblora.vbl_memcpy;
import static io.vblora.kernels.global.vblora.vbl_memcpy_blocking;

import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.KernelException;
import io.vblora.kernels.NativeLibrary;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;

/**
 * Structs that ops read from device memory, and a copy on the host in which they are set: an upload copies them all, in
 * the stream's order. It knows whether the device has what was set. Used by one thread at a time.
 */
final class DeviceStructs implements AutoCloseable {
    private final String argument;
    private final String name;
    private final BytePointer hostMemory;
    private final Tensor memory;
    /** Whether the device has what was set on the host. */
    private boolean uploaded;
    private boolean closed;

    /**
     * Allocates both copies; the host's is zero.
     *
     * @param argument what messages call it where an op is given it, such as "step"
     * @param name what other messages call it, such as "step state"
     * @throws KernelException if the memory is not available
     */
    DeviceStructs(Device device, String argument, String name, long bytes) {
        NativeLibrary.load();
        this.argument = argument;
        this.name = name;
        this.hostMemory = new BytePointer(bytes);
        this.memory = Tensor.allocate(device, DType.UINT8, bytes);
        Pointer.memset(hostMemory, 0, bytes);
    }

    /** A struct in the host's copy. */
    Pointer host(long offset) {
        return hostMemory.getPointer(offset);
    }

    /** A struct in device memory. */
    Pointer onDevice(long offset, long bytes) {
        return memory.view(offset, bytes).pointer();
    }

    /** Uploads what a new one holds, which needs no stream. Closes it if that fails. */
    void begin() {
        try {
            KernelException.check(vbl_memcpy_blocking(memory.device().index(), memory.pointer(), hostMemory,
                    memory.bytes()));
        } catch (RuntimeException | Error e) {
            close();
            throw e;
        }
        uploaded = true;
    }

    /** Notes that one of the host's values is about to be set. */
    void set() {
        requireOpen();
        uploaded = false;
    }

    /** Copies the host's values to the device. Returns whether that was done: a planning stream copies nothing. */
    boolean upload(Stream stream) {
        requireOn(stream);
        stream.run(handle -> vbl_memcpy(handle, memory.pointer(), hostMemory, memory.bytes()));
        if (stream.isPlanning()) {
            return false;
        }
        uploaded = true;
        return true;
    }

    /** Refuses a stream of another device, and values that were set and not uploaded. */
    void requireUploaded(Stream stream) {
        requireOn(stream);
        if (!uploaded) {
            throw new IllegalStateException("The " + name + " was changed and not uploaded");
        }
    }

    private void requireOn(Stream stream) {
        requireOpen();
        if (!memory.device().equals(stream.device())) {
            throw new IllegalArgumentException(argument + ": found a " + name + " on " + memory.device()
                    + "; expected one on " + stream.device());
        }
    }

    void requireOpen() {
        if (closed) {
            throw new IllegalStateException("The " + name + " is closed");
        }
    }

    @Override
    public void close() {
        closed = true;
        memory.close();
        hostMemory.close();
    }
}
