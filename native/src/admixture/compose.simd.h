// The mixture of one sub-vector.
#pragma once
#include <cstdint>

#include "runtime/isa.h"

// out[i] = sum over j of weights[j] · bank[indices[j] · vector_length + i], i < n, in float64 and in the order of j,
// rounded once.
VBL_SIMD_FUNCTION(void, mix,
                  (int64_t n, int32_t topk, const float *bank, int64_t vector_length, const int32_t *indices,
                   const float *weights, float *out))
