#include "optimizer/adamw.h"

namespace vbl {
namespace VBL_ISA {

void adamw(int64_t n, const vbl_step *step, int32_t group, float *__restrict parameter, const float *__restrict gradient,
           float *__restrict exp_avg, float *__restrict exp_avg_sq) {
  const vbl_adamw_group constants = step->group[group];
  const float gradient_scale = step->gradient_scale, clip_factor = step->clip_factor;
  for (int64_t i = 0; i < n; ++i)
    adamw_update(constants, adamw_gradient(gradient[i], gradient_scale, clip_factor), parameter + i, exp_avg + i,
                 exp_avg_sq + i);
}

// Blocks with their gradients spread out on the stack run through the same straight loop.
void adamw_sparse(int64_t n, const vbl_step *step, int32_t group, float *__restrict parameter, int32_t k,
                  const int32_t *position, const float *gradient, float *__restrict exp_avg,
                  float *__restrict exp_avg_sq) {
  constexpr int64_t kBlock = 1024;
  const vbl_adamw_group constants = step->group[group];
  const int64_t longest = n < kBlock ? n : kBlock;
  float spread[kBlock];
  for (int64_t i = 0; i < longest; ++i) spread[i] = 0;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t block = n - begin < kBlock ? n - begin : kBlock;
    const auto within = [&](int32_t j) { return position[j] >= begin && position[j] < begin + block; };
    for (int32_t j = 0; j < k; ++j)
      if (within(j)) spread[position[j] - begin] = adamw_gradient(gradient[j], step->gradient_scale, step->clip_factor);
    for (int64_t i = 0; i < block; ++i)
      adamw_update(constants, spread[i], parameter + begin + i, exp_avg + begin + i, exp_avg_sq + begin + i);
    for (int32_t j = 0; j < k; ++j)
      if (within(j)) spread[position[j] - begin] = 0;
  }
}

}  // namespace VBL_ISA
}  // namespace vbl
