#pragma once
#include <cstdint>

#include "runtime/isa.h"

VBL_SIMD_FUNCTION(void, silu_mul_forward, (int64_t n, const float *gate, const float *up, float *out))
VBL_SIMD_FUNCTION(void, silu_mul_backward,
                  (int64_t n, const float *gate, const float *up, const float *dout, float *dgate, float *dup))
