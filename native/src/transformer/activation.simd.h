#pragma once
#include <cstdint>

#include "runtime/isa.h"

// activation is a vbl_activation.
VBL_SIMD_FUNCTION(void, activation_forward, (int32_t activation, int64_t n, const float *x, float *y))
VBL_SIMD_FUNCTION(void, activation_backward,
                  (int32_t activation, int64_t n, const float *x, const float *dy, float *dx))
