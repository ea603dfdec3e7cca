// AdamW as optimizer.h writes it down: the one place where an update is computed, dense or active, in every instruction
// set. Operations stand in that order and are never fused.
#pragma once
#include <cstdint>

#include "runtime/isa.h"
#include "vblora/optimizer.h"

namespace vbl {

// What a gradient is multiplied with, in this order; then it is g' of optimizer.h.
static inline float adamw_gradient(float gradient, float gradient_scale, float clip_factor) {
  return gradient * gradient_scale * clip_factor;
}

// One update with the gradient g'.
static inline void adamw_update(const vbl_adamw_group &group, float gradient, float *parameter, float *exp_avg,
                                float *exp_avg_sq) {
  const float p = *parameter * group.decay;
  const float m = *exp_avg + (gradient - *exp_avg) * group.one_minus_beta1;
  const float v = *exp_avg_sq * group.beta2 + group.one_minus_beta2 * gradient * gradient;
  *exp_avg = m;
  *exp_avg_sq = v;
  *parameter = p + group.neg_step_size * m / (__builtin_sqrtf(v) / group.bias_correction2_sqrt + group.eps);
}

// Checks the step and group that op was given.
vbl_status check_group(const char *op, const vbl_step *step, int32_t group);

}  // namespace vbl

// Updates n parameters.
VBL_SIMD_FUNCTION(void, adamw, (int64_t n, const vbl_step *step, int32_t group, float *parameter, const float *gradient,
                                float *exp_avg, float *exp_avg_sq))

// Updates n parameters whose gradient is exactly zero but for k of them: gradient[j] at position[j] in 0 .. n-1.
VBL_SIMD_FUNCTION(void, adamw_sparse, (int64_t n, const vbl_step *step, int32_t group, float *parameter, int32_t k,
                                       const int32_t *position, const float *gradient, float *exp_avg,
                                       float *exp_avg_sq))
