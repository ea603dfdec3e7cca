// AdamW in kernels.
#pragma once
#include "optimizer/adamw.h"
#include "runtime/launch.cuh"

namespace vbl {
namespace cuda {

// A step's constants, which kernels read from device memory.
struct AdamW {
  vbl_adamw_group group;
  float gradient_scale, clip_factor;

  __device__ __forceinline__ AdamW(const vbl_step *step, const vbl_adamw_group *constants)
      : group(*constants), gradient_scale(step->gradient_scale), clip_factor(step->clip_factor) {}

  __device__ __forceinline__ float gradient(float unscaled) const {
    return adamw_gradient(unscaled, gradient_scale, clip_factor);
  }

  // As adamw_update, to the bit: where both moments are 0 the divisor is eps, and what is divided is 0 with some sign, or
  // not a number, which a division by a positive number leaves as it is. Most logits are never selected, and roots and
  // divisions of 0 are the slow ones: they take the path that the hardware has for denormals.
  __device__ __forceinline__ void update(float gradient, float *parameter, float *exp_avg, float *exp_avg_sq) const {
    adamw_moments(group, gradient, exp_avg, exp_avg_sq);
    const float move =
        *exp_avg == 0 && *exp_avg_sq == 0 ? group.neg_step_size * *exp_avg : adamw_move(group, *exp_avg, *exp_avg_sq);
    *parameter = *parameter * group.decay + move;
  }
};

}  // namespace cuda
}  // namespace vbl
