package io.vblora.blas;

import io.vblora.kernels.Arena;
import io.vblora.kernels.Device;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;

/** Matrix products on one device. Threads may share it, each with its own stream and arena. */
public interface Blas {
    /**
     * C [m,n] = alpha · op(A) [m,k] · op(B) [k,n] + beta · C, row-major. A and C are float32; B may also be bfloat16 or
     * float16. With beta 0, C is not read. Scratch is taken from the arena and given back.
     *
     * @param transA whether A is stored as [k,m]
     * @param transB whether B is stored as [n,k]
     */
    void gemm(Stream stream, Arena arena, boolean transA, boolean transB, long m, long n, long k, float alpha, Tensor a,
            Tensor b, float beta, Tensor c);

    /**
     * The BLAS library for a device.
     *
     * @throws BlasException if it cannot be loaded
     */
    static Blas on(Device device) {
        if (device.isCpu()) {
            return new OpenBlas();
        }
        throw new BlasException("This version has no matrix products on " + device + " yet: use the CPU", null);
    }
}
