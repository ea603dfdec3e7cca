// The end of a row's selection on CUDA: the softmax over its k best logits, as finish_selection in select.h. Sums are
// float64 and in a fixed order; weights are rounded once.
#pragma once
#include "admixture/topk.cuh"

namespace vbl {
namespace cuda {

__device__ __forceinline__ float bad_weight() { return __uint_as_float(0x7FC00000u); }

__device__ __forceinline__ bool is_finite(float x) { return (__float_as_uint(x) & 0x7F800000u) != 0x7F800000u; }

__device__ __forceinline__ void note_bad_row(int64_t *bad_row, int64_t row) {
  // The word was filled with ones: -1, and the greatest of unsigned numbers.
  atomicMin(reinterpret_cast<unsigned long long *>(bad_row), static_cast<unsigned long long>(row));
}

// By all lanes of a warp, lane j < k having the j-th best key: writes the row's indices and weights.
__device__ __forceinline__ void store_selection(Key key, int64_t row, int k, int32_t *indices, float *weights,
                                                int64_t *bad_row) {
  const int lane = lane_of_thread();
  const float logit = logit_of(key), largest = __shfl_sync(kAllLanes, logit, 0);
  const bool good = is_finite(largest);
  const double share = good && lane < k ? exp(static_cast<double>(logit) - static_cast<double>(largest)) : 0;
  double sum = 1;
  for (int j = 1; j < k; ++j) sum += __shfl_sync(kAllLanes, share, j);
  if (lane < k) {
    indices[row * k + lane] = index_of(key);
    weights[row * k + lane] = good ? static_cast<float>(share / sum) : bad_weight();
  }
  if (!good && lane == 0) note_bad_row(bad_row, row);
}

}  // namespace cuda
}  // namespace vbl
