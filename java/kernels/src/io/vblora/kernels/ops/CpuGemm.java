package io.vblora.kernels.ops;

import static io.vblora.kernels.global.vblora.vbl_blas_open;
import static io.vblora.kernels.global.vblora.vbl_cpu_gemm;
import static io.vblora.kernels.global.vblora.vbl_cpu_gemm_scratch_bytes;

import io.vblora.kernels.Arena;
import io.vblora.kernels.DType;
import io.vblora.kernels.KernelException;
import io.vblora.kernels.NativeLibrary;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.bindings.vbl_blas;
import io.vblora.kernels.bindings.vbl_gemm;
import java.nio.file.Path;

/**
 * Matrix products on the CPU: a BLAS library's single-threaded sgemm on fixed tiles over the stream's threads, so that
 * the bits do not depend on their number. Threads may share it, each with its own stream and arena.
 */
public final class CpuGemm {
    /** What native calls read, set anew for each. */
    private static final ThreadLocal<vbl_gemm> SHAPE = ThreadLocal.withInitial(vbl_gemm::new);

    private final vbl_blas blas;

    /**
     * @param library file of a BLAS library that exports {@code cblas_sgemm}
     * @throws KernelException if it cannot be loaded
     */
    public CpuGemm(Path library) {
        NativeLibrary.load();
        this.blas = new vbl_blas();
        KernelException.check(vbl_blas_open(library.toString(), blas));
    }

    /**
     * C [m,n] = alpha · op(A) [m,k] · op(B) [k,n] + beta · C, row-major, without padding between rows. A and C are
     * float32; B is float32, bfloat16 or float16. Scratch comes from the arena and goes back.
     *
     * @param transA whether A is stored [k,m]
     * @param transB whether B is stored [n,k]
     */
    public void gemm(Stream stream, Arena arena, boolean transA, boolean transB, long m, long n, long k, float alpha,
            Tensor a, Tensor b, float beta, Tensor c) {
        Check.floats(stream, "a", a, Math.multiplyExact(m, k));
        Check.nativeFloat(stream, "b", b, Math.multiplyExact(k, n));
        Check.floats(stream, "c", c, Math.multiplyExact(m, n));
        vbl_gemm gemm = SHAPE.get().m(m).n(n).k(k).lda(transA ? m : k).ldb(transB ? k : n).ldc(n)
                .trans_a(transA ? 1 : 0).trans_b(transB ? 1 : 0)
                .b_dtype(b.dtype().nativeCode()).alpha(alpha).beta(beta);
        long mark = arena.mark();
        Tensor scratch = arena.take(DType.UINT8,
                stream.scratchBytes(handle -> vbl_cpu_gemm_scratch_bytes(handle, gemm)));
        stream.run(handle -> vbl_cpu_gemm(handle, blas, gemm, a.pointer(), b.pointer(), c.pointer(), scratch.pointer(),
                scratch.bytes()));
        arena.release(mark);
    }
}
