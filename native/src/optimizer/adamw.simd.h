// Inner loops of AdamW, dense and with sparse gradients.
#pragma once
#include <cstdint>

#include "runtime/isa.h"
#include "vblora/optimizer.h"

// Updates n parameters.
VBL_SIMD_FUNCTION(void, adamw,
                  (int64_t n, const vbl_step *step, const vbl_adamw_group *group, float *parameter,
                   const float *gradient, float *exp_avg, float *exp_avg_sq))

// Updates rows of n parameters, one after the other, whose gradient is exactly zero but for k in each row: gradient
// [rows, k] at position [rows, k] in 0 .. n-1.
VBL_SIMD_FUNCTION(void, adamw_sparse,
                  (int64_t rows, int64_t n, const vbl_step *step, const vbl_adamw_group *group, float *parameter,
                   int32_t k, const int32_t *position, const float *gradient, float *exp_avg, float *exp_avg_sq))
