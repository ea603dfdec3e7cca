// The admixture in float64, from the equations of admixture.h and nothing else; and random inputs for it.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "check.h"

namespace reference {

struct Shape {
  int64_t rows;
  int32_t num_vectors, vector_length, topk;
  vbl_admixture admixture(const int32_t *slots = nullptr) const { return {rows, num_vectors, vector_length, topk, slots}; }
};

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

struct Selection {
  std::vector<int32_t> indices;
  std::vector<double> weights;
};

// The topk largest logits of every row, ties to the lower index, and the softmax over them.
inline Selection select(const Shape &shape, const std::vector<float> &logits) {
  Selection selection;
  for (int64_t row = 0; row < shape.rows; ++row) {
    const float *x = logits.data() + row * shape.num_vectors;
    std::vector<int32_t> order(static_cast<size_t>(shape.num_vectors));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return x[a] > x[b]; });
    double sum = 0;
    for (int32_t j = 0; j < shape.topk; ++j) sum += std::exp(double{x[order[j]]} - x[order[0]]);
    for (int32_t j = 0; j < shape.topk; ++j) {
      selection.indices.push_back(order[j]);
      selection.weights.push_back(std::exp(double{x[order[j]]} - x[order[0]]) / sum);
    }
  }
  return selection;
}

template <typename T>
bool same_bits(const std::vector<T> &a, const std::vector<T> &b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

}  // namespace reference
