/* Matrix products on the CPU: a BLAS library's single-threaded sgemm on fixed tiles, spread over the stream's threads.
 * Tiles do not depend on the number of threads, so neither do the bits. On CUDA, cuBLAS is called by the host language. */
#ifndef VBLORA_GEMM_H
#define VBLORA_GEMM_H

#include "vblora/common.h"
#include "vblora/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A loaded BLAS library. */
typedef struct vbl_blas vbl_blas;

/** D [m,n] = alpha · op(A) [m,k] · op(B) [k,n] + beta · C [m,n], row-major.
 *  A, C and D are float32; B is of b_dtype (16-bit weights are widened tile by tile into scratch).
 *  lda, ldb, ldc, ldd: leading dimensions of A, B, C, D as stored. With beta 0, neither C nor ldc is read. */
typedef struct vbl_gemm {
  int64_t m, n, k;
  int64_t lda, ldb, ldc, ldd;
  int32_t trans_a, trans_b; /**< 0: as stored; 1: transposed */
  int32_t b_dtype;          /**< vbl_dtype */
  float alpha, beta;
} vbl_gemm;

/** Opens the BLAS library in a file (host path) that exports cblas_sgemm, and sets it to one thread where it exports
 *  openblas_set_num_threads. Shared by all streams; never closed. */
VBL_API vbl_status vbl_blas_open(const char *path, vbl_blas **blas);

/** Scratch that vbl_cpu_gemm needs on this stream: 0 for float32 B. */
VBL_API int64_t vbl_cpu_gemm_scratch_bytes(const vbl_stream *stream, const vbl_gemm *gemm);

/** The product, on a CPU stream. c may be d, with the same leading dimension, and NULL with beta 0; otherwise d must
 *  not overlap a, b or c. A c apart from d gives the bits of a copy of it in d. */
VBL_API vbl_status vbl_cpu_gemm(vbl_stream *stream, const vbl_blas *blas, const vbl_gemm *gemm, const float *a,
                                const void *b, const float *c, float *d, void *scratch, int64_t scratch_bytes);

#ifdef __cplusplus
}
#endif
#endif
