// A BLAS library opened at run time.
#pragma once
#include <cstdint>

#include "vblora/gemm.h"

// CBLAS numbers its enumerations so.
constexpr int32_t kCblasRowMajor = 101, kCblasNoTrans = 111, kCblasTrans = 112;

struct vbl_blas {
  void *library;  // of dlopen
  void (*sgemm)(int32_t order, int32_t trans_a, int32_t trans_b, int32_t m, int32_t n, int32_t k, float alpha,
                const float *a, int32_t lda, const float *b, int32_t ldb, float beta, float *c, int32_t ldc);
};
