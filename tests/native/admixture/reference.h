// Random inputs for the admixture, whose float64 arithmetic the benchmark brings.
#pragma once
#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "bench/reference.h"
#include "check.h"

namespace reference {

inline Shape random_shape(check::Random &random, int32_t most_rows, int32_t most_vectors, int32_t most_length) {
  Shape shape;
  shape.rows = random.between(1, most_rows);
  shape.num_vectors = static_cast<int32_t>(random.between(1, most_vectors));
  shape.vector_length = static_cast<int32_t>(random.between(1, most_length));
  shape.topk = static_cast<int32_t>(random.between(1, random.between(0, 3) == 0 ? shape.num_vectors : std::min(shape.num_vectors, 4)));
  return shape;
}

inline std::vector<float> normal(check::Random &random, int64_t n, float scale) {
  std::vector<float> values(static_cast<size_t>(n));
  for (float &value : values) value = scale * random.normal();
  return values;
}

// A permutation of 0 .. n-1.
inline std::vector<int32_t> permutation(check::Random &random, int64_t n) {
  std::vector<int32_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  for (int64_t i = n - 1; i > 0; --i) std::swap(order[i], order[random.between(0, i)]);
  return order;
}

template <typename T>
bool same_bits(const std::vector<T> &a, const std::vector<T> &b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

}  // namespace reference
