package io.vblora.kernels;

import java.util.ArrayList;
import java.util.List;

/**
 * Tensors of one device that are allocated one after the other and closed together. If one of them cannot be allocated,
 * those before it are closed, so that a constructor that allocates several leaves nothing behind. Not thread-safe.
 */
public final class Tensors implements AutoCloseable {
    private final Device device;
    private final List<Tensor> tensors = new ArrayList<>();

    /** A group without tensors so far. */
    public Tensors(Device device) {
        this.device = device;
    }

    /**
     * Allocates a tensor filled with zeros.
     *
     * @throws KernelException if the memory is not available; all tensors are closed then
     */
    public Tensor allocate(DType dtype, long... shape) {
        try {
            Tensor tensor = Tensor.allocate(device, dtype, shape);
            tensors.add(tensor);
            return tensor;
        } catch (RuntimeException | Error e) {
            close();
            throw e;
        }
    }

    /** Bytes of all tensors. */
    public long bytes() {
        return tensors.stream().mapToLong(Tensor::bytes).sum();
    }

    @Override
    public void close() {
        tensors.forEach(Tensor::close);
    }
}
