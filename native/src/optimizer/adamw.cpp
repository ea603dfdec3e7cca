#include "optimizer/adamw.h"

#include <cmath>

#include "optimizer/adamw.simd.h"
#include "runtime/stream.h"

namespace vbl {

vbl_status check_group(const char *op, const vbl_stream *stream, const vbl_step *step, const vbl_adamw_group *group) {
  VBL_REQUIRE_NOT_NULL_OF(op, step, group);
  if (stream->device != VBL_DEVICE_CPU) return VBL_OK;
  VBL_REQUIRE(group->eps > 0, "%s: group has eps %g: fill it with vbl_adamw_group_set", op,
              static_cast<double>(group->eps));
  return VBL_OK;
}

}  // namespace vbl

extern "C" vbl_status vbl_adamw_group_set(vbl_adamw_group *group, int64_t step, double learning_rate, double beta1,
                                          double beta2, double eps, double weight_decay) {
  VBL_REQUIRE_NOT_NULL(group);
  VBL_REQUIRE(step >= 1, "%s: step must be at least 1, found %lld", __func__, static_cast<long long>(step));
  VBL_REQUIRE(learning_rate >= 0 && std::isfinite(learning_rate),
              "%s: learning_rate must be finite and not negative, found %g", __func__, learning_rate);
  VBL_REQUIRE(beta1 >= 0 && beta1 < 1, "%s: beta1 must lie in [0, 1), found %g", __func__, beta1);
  VBL_REQUIRE(beta2 >= 0 && beta2 < 1, "%s: beta2 must lie in [0, 1), found %g", __func__, beta2);
  VBL_REQUIRE(static_cast<float>(eps) > 0 && std::isfinite(eps),
              "%s: eps must be finite and, as float32, greater than 0, found %g", __func__, eps);
  VBL_REQUIRE(weight_decay >= 0 && std::isfinite(weight_decay),
              "%s: weight_decay must be finite and not negative, found %g", __func__, weight_decay);
  const double t = static_cast<double>(step);
  group->neg_step_size = static_cast<float>(-learning_rate / (1 - std::pow(beta1, t)));
  group->bias_correction2_sqrt = static_cast<float>(std::sqrt(1 - std::pow(beta2, t)));
  group->one_minus_beta1 = static_cast<float>(1 - beta1);
  group->beta2 = static_cast<float>(beta2);
  group->one_minus_beta2 = static_cast<float>(1 - beta2);
  group->eps = static_cast<float>(eps);
  group->decay = static_cast<float>(1 - learning_rate * weight_decay);
  return VBL_OK;
}

extern "C" vbl_status vbl_adamw(vbl_stream *stream, int64_t n, const vbl_step *step, const vbl_adamw_group *group,
                                float *parameter, const float *gradient, float *exp_avg, float *exp_avg_sq) {
  VBL_REQUIRE_NOT_NULL(stream);
  VBL_REQUIRE(n >= 0, "%s: n must not be negative, found %lld", __func__, static_cast<long long>(n));
  VBL_TRY(vbl::check_group(__func__, stream, step, group));
  if (n == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(parameter, gradient, exp_avg, exp_avg_sq);
  VBL_ON_CUDA(stream, vbl::cuda::adamw(stream, n, step, group, parameter, gradient, exp_avg, exp_avg_sq));
  const auto adamw = VBL_SIMD(adamw);
  vbl::parallel_for(stream, n, 1 << 15, [&](int64_t begin, int64_t end) {
    adamw(end - begin, step, group, parameter + begin, gradient + begin, exp_avg + begin, exp_avg_sq + begin);
  });
  return VBL_OK;
}
