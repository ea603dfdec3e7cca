#pragma once
#include <cstdint>

#include "runtime/isa.h"

// One row; sums in float64. rmsnorm_forward returns rstd.
VBL_SIMD_FUNCTION(float, rmsnorm_forward, (int64_t hidden, float eps, const float *x, const float *weight, float *y))
VBL_SIMD_FUNCTION(void, rmsnorm_backward,
                  (int64_t hidden, const float *dy, const float *x, const float *weight, float rstd, float *dx))
