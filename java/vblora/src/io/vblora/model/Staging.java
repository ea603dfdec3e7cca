package io.vblora.model;

import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Event;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.Memory;
import java.nio.ByteBuffer;
import java.util.function.Consumer;

/**
 * Host memory out of which blocks are copied to a device: page-locked where that is not the CPU, so that the host goes
 * on while they are copied. It waits before it writes over a block that is still being read. Used by one thread.
 */
final class Staging implements AutoCloseable {
    private final Device device;
    private final Event read;
    private Tensor memory;
    /** Whether the last block may still be read. */
    private boolean pending;

    Staging(Device device) {
        this.device = device;
        this.read = new Event(device);
    }

    /**
     * Copies a block in the stream's order.
     *
     * @param destination tensor of the device that the block begins at
     * @param writer writes the block from the beginning of a buffer
     */
    void upload(Stream stream, long bytes, Tensor destination, Consumer<ByteBuffer> writer) {
        reserve(bytes);
        writer.accept(memory.buffer(0, Math.toIntExact(bytes)));
        Memory.copy(stream, memory.view(0, bytes), Tensor.wrap(device, DType.UINT8, destination.pointer(), bytes));
        read.record(stream);
        pending = true;
    }

    /** Makes sure that a block of so many bytes can be written. */
    private void reserve(long bytes) {
        await();
        if (memory != null) {
            if (memory.bytes() >= bytes) {
                return;
            }
            memory.close();
            memory = null;
        }
        memory = device.isCpu() ? Tensor.allocate(Device.CPU, DType.UINT8, 2 * bytes)
                : Tensor.pinned(DType.UINT8, 2 * bytes);
    }

    private void await() {
        if (pending) {
            read.synchronize();
            pending = false;
        }
    }

    @Override
    public void close() {
        try (Event closed = read; Tensor freed = memory) {
            await();
        }
    }
}
