// An active-set state with the memory of its lists. The tests use it as well.
#pragma once
#include <cmath>
#include <cstdint>

#include "vblora/vblora.h"

namespace reference {

// Short: arrays of what a row has few of; Long: of its entries. make(n, value) and make_long(n, value) give one of n
// elements of the value's type, which hold it, or what else no op writes.
template <template <typename> class Short, template <typename> class Long = Short>
struct ActiveSet {
  Short<int32_t> count, candidate_count, candidate_index, max_count;
  Long<int32_t> index;
  Long<float> logit, exp_avg, exp_avg_sq;
  vbl_active active;

  template <typename Make, typename MakeLong>
  ActiveSet(const Make &make, const MakeLong &make_long, int64_t rows, int32_t capacity, int32_t candidates)
      : count(make(rows, -1)), candidate_count(make(rows, -1)), candidate_index(make(rows * candidates, -1)),
        max_count(make(1, -1)), index(make_long(rows * capacity, -1)), logit(make_long(rows * capacity, NAN)),
        exp_avg(make_long(rows * capacity, NAN)), exp_avg_sq(make_long(rows * capacity, NAN)),
        active{capacity,       candidates,        count.data(),           index.data(),           logit.data(),
               exp_avg.data(), exp_avg_sq.data(), candidate_count.data(), candidate_index.data(), max_count.data()} {}
  template <typename Make>
  ActiveSet(const Make &make, int64_t rows, int32_t capacity, int32_t candidates)
      : ActiveSet(make, make, rows, capacity, candidates) {}

  // Calls f(name, array) for each.
  template <typename F>
  void for_each(const F &f) const {
    f("count", count);
    f("index", index);
    f("logit", logit);
    f("exp_avg", exp_avg);
    f("exp_avg_sq", exp_avg_sq);
    f("candidate_count", candidate_count);
    f("candidate_index", candidate_index);
    f("max_count", max_count);
  }
};

}  // namespace reference
