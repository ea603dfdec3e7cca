// Arrays of random numbers, and their comparison.
#pragma once
#include <cmath>
#include <cstring>
#include <vector>

#include "check.h"

namespace check {

inline std::vector<float> normals(Random &random, int64_t n, float scale = 1) {
  std::vector<float> x(static_cast<size_t>(n));
  for (float &v : x) v = scale * random.normal();
  return x;
}

template <typename T>
bool same_bits(const std::vector<T> &a, const std::vector<T> &b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

// Matrices of as many rows side by side, as columns of one that ends in a column more; NaN there.
inline std::vector<float> side_by_side(int64_t rows, const std::vector<std::vector<float>> &matrices) {
  std::vector<float> wide;
  for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
    for (const std::vector<float> &x : matrices) {
      const size_t columns = x.size() / static_cast<size_t>(rows);
      for (size_t c = 0; c < columns; ++c) wide.push_back(x[row * columns + c]);
    }
    wide.push_back(NAN);
  }
  return wide;
}

// The greatest error, as a share of the greatest expected magnitude or of `greatest` if that is more; infinite if
// anything found is not a number.
inline double error(const std::vector<float> &found, const std::vector<double> &expected, double greatest = 1e-30) {
  if (found.size() != expected.size()) return INFINITY;
  double worst = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    const double difference = std::fabs(static_cast<double>(found[i]) - expected[i]);
    if (!(difference <= worst)) worst = std::isnan(difference) ? INFINITY : difference;
    if (std::fabs(expected[i]) > greatest) greatest = std::fabs(expected[i]);
  }
  return worst / greatest;
}

}  // namespace check
