package io.vblora.kernels.ops;

import static io.vblora.kernels.global.vblora.vbl_blas_open;
import static io.vblora.kernels.global.vblora.vbl_cpu_gemm;
import static io.vblora.kernels.global.vblora.vbl_cpu_gemm_scratch_bytes;

import io.vblora.kernels.Arena;
import io.vblora.kernels.DType;
import io.vblora.kernels.KernelException;
import io.vblora.kernels.Matrix;
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
     * D [m,n] = alpha · op(A) [m,k] · op(B) [k,n] + beta · C [m,n]. A, C and D are float32; B is float32, bfloat16 or
     * float16. Scratch comes from the arena and goes back.
     *
     * @param transA whether A is stored [k,m]
     * @param transB whether B is stored [n,k]
     * @param c may be d, and null with beta 0; otherwise d must not overlap a, b or c
     */
    public void gemm(Stream stream, Arena arena, boolean transA, boolean transB, float alpha, Matrix a, Matrix b,
            float beta, Matrix c, Matrix d) {
        long m = d.rows();
        long n = d.columns();
        long k = transA ? a.rows() : a.columns();
        Check.floats(stream, "a", a, transA ? k : m, transA ? m : k);
        Check.nativeFloat(stream, "b", b, transB ? n : k, transB ? k : n);
        if (c != null) {
            Check.floats(stream, "c", c, m, n);
        }
        Check.floats(stream, "d", d, m, n);
        vbl_gemm gemm = SHAPE.get().m(m).n(n).k(k).lda(a.rowStride()).ldb(b.rowStride())
                .ldc(c == null ? n : c.rowStride()).ldd(d.rowStride()).trans_a(transA ? 1 : 0).trans_b(transB ? 1 : 0)
                .b_dtype(b.dtype().nativeCode()).alpha(alpha).beta(beta);
        long mark = arena.mark();
        Tensor scratch = arena.take(DType.UINT8,
                stream.scratchBytes(handle -> vbl_cpu_gemm_scratch_bytes(handle, gemm)));
        stream.run(handle -> vbl_cpu_gemm(handle, blas, gemm, a.pointer(), b.pointer(),
                c == null ? null : c.pointer(), d.pointer(), scratch.pointer(), scratch.bytes()));
        arena.release(mark);
    }
}
