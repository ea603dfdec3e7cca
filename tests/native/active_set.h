// An active-set state and its memory.
#pragma once
#include <cmath>

#include "admixture/reference.h"
#include "device.h"

namespace check {

// Its arrays come from make(n, value) and hold what no op writes.
struct ActiveSet {
  Array<int32_t> count, index, candidate_count, candidate_index, max_count;
  Array<float> logit, exp_avg, exp_avg_sq;
  vbl_active active;

  template <typename Make>
  ActiveSet(const Make &make, const reference::Shape &shape, int32_t capacity, int32_t candidates)
      : count(make(shape.rows, -1)),
        index(make(shape.rows * capacity, -1)),
        candidate_count(make(shape.rows, -1)),
        candidate_index(make(shape.rows * candidates, -1)),
        max_count(make(1, -1)),
        logit(make(shape.rows * capacity, NAN)),
        exp_avg(make(shape.rows * capacity, NAN)),
        exp_avg_sq(make(shape.rows * capacity, NAN)),
        active{capacity,       candidates,        count.data(),           index.data(),           logit.data(),
               exp_avg.data(), exp_avg_sq.data(), candidate_count.data(), candidate_index.data(), max_count.data()} {}
};

}  // namespace check
