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

// A block of columns stays in registers while the uses pass: vector types, because the compiler's own idea is to unroll
// over the uses and keep the block in memory.
void sum_uses(int64_t n, int64_t count, const BankUse *uses, const float *dpacked, int64_t vector_length, double *sum) {
#if defined(__AVX512F__)
  constexpr int64_t kLanes = 8;
#elif defined(__AVX2__)
  constexpr int64_t kLanes = 4;
#else
  constexpr int64_t kLanes = 2;
#endif
  typedef float Floats __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
  typedef double Doubles __attribute__((vector_size(8 * kLanes), aligned(8), may_alias));
  constexpr int64_t kBlock = 4 * kLanes;
  int64_t i = 0;
  for (; i + kBlock <= n; i += kBlock) {
    Doubles block[4] = {};
    for (int64_t u = 0; u < count; ++u) {
      const double weight = uses[u].weight;
      const Floats *du = reinterpret_cast<const Floats *>(dpacked + uses[u].slot * vector_length + i);
      block[0] += weight * __builtin_convertvector(du[0], Doubles);
      block[1] += weight * __builtin_convertvector(du[1], Doubles);
      block[2] += weight * __builtin_convertvector(du[2], Doubles);
      block[3] += weight * __builtin_convertvector(du[3], Doubles);
    }
    for (int64_t l = 0; l < 4; ++l) reinterpret_cast<Doubles *>(sum + i)[l] = block[l];
  }
  for (; i < n; ++i) {
    double total = 0;
    for (int64_t u = 0; u < count; ++u)
      total += static_cast<double>(uses[u].weight) * static_cast<double>(dpacked[uses[u].slot * vector_length + i]);
    sum[i] = total;
  }
}

}  // namespace VBL_ISA
}  // namespace vbl
