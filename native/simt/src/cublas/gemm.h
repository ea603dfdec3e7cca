// Matrix products over plain loops.
#pragma once
#include <cstdint>

#include "cublas_v2.h"

namespace simt {

// count products C = alpha op(A) op(B) + beta C, column-major: op(A) is m x k, op(B) is k x n, C is m x n; the matrices
// of one operand lie stride elements apart.
struct Gemm {
  struct Operand {
    const void *data;
    cudaDataType type;
    int64_t ld, stride;
    bool transposed = false;
  };
  int64_t m, n, k, count;
  Operand a, b, c;
};

int64_t size_of(cudaDataType type);

// Sums in float32 in the order of k, rounds once to C's type. With beta 0, C is not read.
void run_gemm(const Gemm &gemm, float alpha, float beta);

}  // namespace simt
