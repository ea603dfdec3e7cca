// AdamW as optimizer.h writes it down: the one place where an update is computed, dense or active, in every instruction
// set and on CUDA. Operations stand in that order and are never fused.
#pragma once
#include <cstdint>

#include "runtime/host_device.h"
#include "vblora/optimizer.h"

namespace vbl {

// What a gradient is multiplied with, in this order; then it is g' of optimizer.h.
static VBL_HOST_DEVICE float adamw_gradient(float gradient, float gradient_scale, float clip_factor) {
  return gradient * gradient_scale * clip_factor;
}

// The moments after the gradient g'.
static VBL_HOST_DEVICE void adamw_moments(const vbl_adamw_group &group, float gradient, float *exp_avg,
                                          float *exp_avg_sq) {
  *exp_avg = *exp_avg + (gradient - *exp_avg) * group.one_minus_beta1;
  *exp_avg_sq = *exp_avg_sq * group.beta2 + group.one_minus_beta2 * gradient * gradient;
}

// What a parameter moves by, given its new moments.
static VBL_HOST_DEVICE float adamw_move(const vbl_adamw_group &group, float exp_avg, float exp_avg_sq) {
#if defined(__CUDA_ARCH__)
  const float root = __fsqrt_rn(exp_avg_sq);
#else
  const float root = __builtin_sqrtf(exp_avg_sq);
#endif
  return group.neg_step_size * exp_avg / (root / group.bias_correction2_sqrt + group.eps);
}

// One update with the gradient g'.
static VBL_HOST_DEVICE void adamw_update(const vbl_adamw_group &group, float gradient, float *parameter, float *exp_avg,
                                         float *exp_avg_sq) {
  adamw_moments(group, gradient, exp_avg, exp_avg_sq);
  *parameter = *parameter * group.decay + adamw_move(group, *exp_avg, *exp_avg_sq);
}

// Checks the group that op was given and, where the step is in the host's memory, that it has been filled.
vbl_status check_group(const char *op, const vbl_stream *stream, const vbl_step *step, const vbl_adamw_group *group);

namespace cuda {
// The ops on a CUDA stream.
vbl_status adamw(vbl_stream *stream, int64_t n, const vbl_step *step, const vbl_adamw_group *group, float *parameter,
                 const float *gradient, float *exp_avg, float *exp_avg_sq);
vbl_status adamw_select(vbl_stream *stream, const vbl_admixture &admixture, const vbl_step *step,
                        const vbl_adamw_group *group, float *logits, const float *dlogits, float *exp_avg,
                        float *exp_avg_sq, int32_t *indices, float *weights, int64_t *bad_row);
}  // namespace cuda

}  // namespace vbl
