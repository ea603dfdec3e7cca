// Random inputs for the admixture, whose float64 arithmetic the benchmark brings.
#pragma once
#include <algorithm>
#include <numeric>
#include <vector>

#include "arrays.h"
#include "bench/reference.h"
#include "check.h"

namespace reference {

inline Shape random_shape(check::Random &random, int32_t most_rows, int32_t most_vectors, int32_t most_length) {
  Shape shape;
  shape.rows = random.between(1, most_rows);
  shape.num_vectors = static_cast<int32_t>(random.between(1, most_vectors));
  shape.vector_length = static_cast<int32_t>(random.between(1, most_length));
  shape.topk = static_cast<int32_t>(
      random.between(1, random.between(0, 3) == 0 ? shape.num_vectors : std::min(shape.num_vectors, 4)));
  return shape;
}

// A permutation of 0 .. n-1.
inline std::vector<int32_t> permutation(check::Random &random, int64_t n) {
  std::vector<int32_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  for (int64_t i = n - 1; i > 0; --i) std::swap(order[i], order[random.between(0, i)]);
  return order;
}

}  // namespace reference
