package io.vblora.blas;

import io.vblora.kernels.Arena;
import io.vblora.kernels.Device;
import io.vblora.kernels.Matrix;
import io.vblora.kernels.Stream;

/** Matrix products on one device. Threads may share it, each with its own stream and arena. */
public interface Blas {
    /**
     * D [m,n] = op(A) [m,k] · op(B) [k,n] + beta · C [m,n]. A, C and D are float32; B may also be bfloat16 or
     * float16. A C apart from D gives the bits of a copy of it in D. Scratch is taken from the arena and given back.
     *
     * @param transA whether A is stored as [k,m]
     * @param transB whether B is stored as [n,k]
     * @param c may be d, and null with beta 0; otherwise d must not overlap a, b or c
     */
    void gemm(Stream stream, Arena arena, boolean transA, boolean transB, Matrix a, Matrix b, float beta, Matrix c,
            Matrix d);

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
