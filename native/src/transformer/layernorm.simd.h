#pragma once
#include <cstdint>

#include "runtime/isa.h"

// One row; sums in float64.
VBL_SIMD_FUNCTION(void, layernorm_forward,
                  (int64_t hidden, float eps, const float *x, const float *weight, const float *bias, float *y,
                   float *mean, float *rstd))
VBL_SIMD_FUNCTION(void, layernorm_backward,
                  (int64_t hidden, const float *dy, const float *x, const float *weight, float mean, float rstd,
                   float *dx))
