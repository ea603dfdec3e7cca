// Inner loops of the admixture's backward pass.
#pragma once
#include <cstdint>

#include "runtime/isa.h"

namespace vbl {

// One use of a bank vector: the sub-vector's place in the packed buffer, and its weight there.
struct BankUse {
  int32_t slot;
  float weight;
};

}  // namespace vbl

// products[j] = <x, row rows[j] of y> over n elements, j < k, y having rows of n: in float64 on a fixed set of lanes. The
// products are exact, so that every instruction set, with fused multiply-add or without, gives the same bits.
VBL_SIMD_FUNCTION(void, dots,
                  (int64_t n, const float *x, int32_t k, const int32_t *rows, const float *y, double *products))

// sum[i] = sum over the uses, in their order, of weight · dpacked[slot · vector_length + i], i < n, in float64.
VBL_SIMD_FUNCTION(void, sum_uses,
                  (int64_t n, int64_t count, const BankUse *uses, const float *dpacked, int64_t vector_length,
                   double *sum))
