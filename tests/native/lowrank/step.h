// The step state that a dropout mask depends on.
#pragma once
#include <cstdint>

#include "vblora/step.h"

namespace check {

inline vbl_step make_step(int64_t step, uint64_t seed, int32_t micro_batch) {
  vbl_step s{};
  s.step = step;
  s.seed = seed;
  s.micro_batch = micro_batch;
  return s;
}

}  // namespace check
