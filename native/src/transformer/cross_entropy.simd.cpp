#include "transformer/cross_entropy.simd.h"

#include "runtime/simd_math.h"

namespace vbl {
namespace VBL_ISA {

void softmax_sum(int64_t n, const float *z, float *e, float *max_out, double *sum_out) {
  constexpr int64_t kBlock = 16 * kLanes;  // exponentials between roundings of the float32 partial sums
  float most = z[0];
  vfloat most_lanes = splat(most);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) most_lanes = max(most_lanes, load(z + i));
  for (; i < n; ++i) most = most > z[i] ? most : z[i];
  most_lanes = max(most_lanes, splat(most));
  most = greatest(most_lanes);

  double total = 0;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t end = begin + kBlock < n ? begin + kBlock : n;
    vfloat block{};
    for (i = begin; i + kLanes <= end; i += kLanes) {
      const vfloat value = exp(load(z + i) - most);
      if (e != nullptr) store(e + i, value);
      block += value;
    }
    total += static_cast<double>(sum(block));
    if (i < end) {
      float last[kLanes];
      store(last, exp(load(z + i, end - i) - most));
      for (int64_t j = i; j < end; ++j) {
        if (e != nullptr) e[j] = last[j - i];
        total += static_cast<double>(last[j - i]);
      }
    }
  }
  *max_out = most;
  *sum_out = total;
}

}  // namespace VBL_ISA
}  // namespace vbl
