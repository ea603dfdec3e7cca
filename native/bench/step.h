// The constants of the optimizer step that the cases take.
#pragma once
#include "adamw_step.h"
#include "cases.h"

namespace bench {

using reference::AdamwStep;

constexpr int32_t kPlain = 0, kDecayed = 1;  // groups of the step: without weight decay, and with it

inline AdamwStep step_constants() {
  AdamwStep step = {};
  step.step = 100;
  step.gradient_scale = 0.5f;
  step.clip_factor = 0.7f;
  require(vbl_adamw_group_set(&step.group[kPlain], step.step, 1e-2, 0.9, 0.999, 1e-8, 0), "a group");
  require(vbl_adamw_group_set(&step.group[kDecayed], step.step, 1e-2, 0.9, 0.999, 1e-8, 0.1), "a group");
  return step;
}

// One parameter's update, found and exact.
inline void compare_update(int64_t at, float p, float m, float v, const reference::Update &exact,
                           Comparison *comparison) {
  comparison->near("parameter", at, p, exact.parameter.exact, exact.parameter.magnitude);
  comparison->near("exp_avg", at, m, exact.exp_avg.exact, exact.exp_avg.magnitude);
  comparison->near("exp_avg_sq", at, v, exact.exp_avg_sq.exact, exact.exp_avg_sq.magnitude);
}

}  // namespace bench
