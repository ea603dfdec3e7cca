#include "admixture/backward.h"

namespace vbl {
namespace VBL_ISA {

double dot(int64_t n, const float *x, const float *y) {
  constexpr int64_t kLanes = 16;
  double lane[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int64_t l = 0; l < kLanes; ++l) lane[l] += static_cast<double>(x[i + l]) * static_cast<double>(y[i + l]);
  for (int64_t l = 0; i < n; ++i, ++l) lane[l] += static_cast<double>(x[i]) * static_cast<double>(y[i]);
  for (int64_t width = kLanes / 2; width > 0; width /= 2)
    for (int64_t l = 0; l < width; ++l) lane[l] += lane[l + width];
  return lane[0];
}

void sum_uses(int64_t n, int64_t count, const BankUse *uses, const float *dpacked, int64_t vector_length,
              double *__restrict sum) {
  for (int64_t i = 0; i < n; ++i) sum[i] = 0;
  for (int64_t u = 0; u < count; ++u) {
    const double weight = uses[u].weight;
    const float *__restrict du = dpacked + uses[u].slot * vector_length;
    for (int64_t i = 0; i < n; ++i) sum[i] += weight * static_cast<double>(du[i]);
  }
}

}  // namespace VBL_ISA
}  // namespace vbl
