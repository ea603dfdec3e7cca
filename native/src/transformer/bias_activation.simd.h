#pragma once
#include <cstdint>

#include "runtime/isa.h"

// activation is a vbl_activation.
// inner += bias unless that is NULL; activated may be inner.
VBL_SIMD_FUNCTION(void, bias_activation_forward,
                  (int32_t activation, int64_t n, const float *bias, float *inner, float *activated))
VBL_SIMD_FUNCTION(void, activation_backward,
                  (int32_t activation, int64_t n, const float *x, const float *dy, float *dx))
