// A stand-in for a BLAS library: row-major cblas_sgemm by its definition, and what the library was told.
#include <cstdint>

#define EXPORT extern "C" __attribute__((visibility("default")))

static int threads = -1;

EXPORT void openblas_set_num_threads(int number) { threads = number; }
EXPORT int plain_blas_num_threads() { return threads; }

EXPORT void cblas_sgemm(int32_t, int32_t trans_a, int32_t trans_b, int32_t m, int32_t n, int32_t k, float alpha,
                        const float *a, int32_t lda, const float *b, int32_t ldb, float beta, float *c, int32_t ldc) {
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      float sum = 0;
      for (int64_t l = 0; l < k; ++l)
        sum += (trans_a == 112 ? a[l * lda + i] : a[i * lda + l]) * (trans_b == 112 ? b[j * ldb + l] : b[l * ldb + j]);
      float &out = c[i * ldc + j];
      out = beta == 0 ? alpha * sum : alpha * sum + beta * out;
    }
}
