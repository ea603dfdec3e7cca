// Conversions of n elements to float32 and back, round to nearest even; NaN stays NaN.
#pragma once
#include <cstdint>

#include "runtime/isa.h"

VBL_SIMD_FUNCTION(void, widen_bfloat16, (int64_t n, const uint16_t *source, float *destination))
VBL_SIMD_FUNCTION(void, widen_float16, (int64_t n, const uint16_t *source, float *destination))
VBL_SIMD_FUNCTION(void, narrow_bfloat16, (int64_t n, const float *source, uint16_t *destination))
VBL_SIMD_FUNCTION(void, narrow_float16, (int64_t n, const float *source, uint16_t *destination))
