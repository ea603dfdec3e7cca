// Delta weights, float32, and merging, in the weight's own dtype: every element once.
//
//   bytes  4 per element written for delta; 2 · sizeof(T) for a merge; the factors come from L1 and L2
//   FLOPs  2 · r per element in float64, which the large GPUs do at half the rate of float32; others are bound by them
//
// A warp takes a window of columns, 16 bytes per lane, of as many rows as give it 32 sums per lane, so that each
// element of the right factor is converted to float64 once for those rows. The 8 warps of a block take rows below each
// other, and find the right factor in the L1 cache.
#include "lowrank/tile.cuh"

namespace vbl {
namespace cuda {
namespace {

constexpr int kWarps = 8, kThreads = kWarps * kWarp;
constexpr int kSums = 32;  // of a lane

template <typename T, bool kMerge>
__global__ void __launch_bounds__(kThreads, 2)
    lowrank_update_weights(Update u, Factors right, bool vectors, double sign, T *weights) {
  constexpr int kRows = kSums / kColumns<T>;
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const int64_t windows = (u.columns + kWindow<T> - 1) / kWindow<T>, window = blockIdx.x % windows * kWindow<T>;
  const int64_t row = (blockIdx.x / windows * kWarps + warp) * kRows;
  if (row >= u.rows) return;
  const int rows = static_cast<int>(u.rows - row < kRows ? u.rows - row : kRows);
  const int here = window_columns<T>(u.columns, window);
  weights += row * u.columns + window;
  double sums[kRows][kColumns<T>] = {};
  for (int32_t k = 0; k < u.r; ++k) {
    float v[kColumns<T>], left[kRows];
    load_factor<T>(right, k, window, u.columns, here, lane, v);
    with_type({u.left, u.factor_dtype, false}, [&](auto *typed) {
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
        float one[1];
        load_inside(i < rows, typed + k * u.rows + row + i, one);
        left[i] = one[0];
      }
    });
    double wide[kColumns<T>];
#pragma unroll
    for (int j = 0; j < kColumns<T>; ++j) wide[j] = v[j];
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const double factor = static_cast<double>(u.scaling) * left[i];
#pragma unroll
      for (int j = 0; j < kColumns<T>; ++j) sums[i][j] += factor * wide[j];
    }
  }
#pragma unroll
  for (int i = 0; i < kRows; ++i)
    if (i < rows) {
      float v[kColumns<T>];
      if (kMerge) unpack<T>(load_lane(weights + i * u.columns, here, lane, vectors), v);
#pragma unroll
      for (int j = 0; j < kColumns<T>; ++j) {
        const double sum = kMerge ? v[j] + sign * sums[i][j] : sums[i][j];
        v[j] = sizeof(T) == 4 ? static_cast<float>(sum) : round_to_odd(sum);
      }
      store_lane(weights + i * u.columns, here, lane, vectors, pack<T>(v));
    }
}

template <bool kMerge, typename T>
void launch(vbl_stream *stream, const Update &u, double sign, T *weights, int32_t dtype) {
  const int64_t rows = kWarps * (kSums / kColumns<T>);
  const int64_t blocks = (u.columns + kWindow<T> - 1) / kWindow<T> * ((u.rows + rows - 1) / rows);
  VBL_LAUNCH((lowrank_update_weights<T, kMerge>), static_cast<unsigned>(blocks), kThreads, 0, handle(stream), u,
             factors_of(u.right, u.columns, u.factor_dtype), row_vectors(weights, u.columns, dtype), sign, weights);
}

}  // namespace

vbl_status lowrank_delta(vbl_stream *stream, const Update &update, float *delta) {
  VBL_CUDA_OP("vbl_lowrank_delta", stream);
  launch<false>(stream, update, 1, delta, VBL_FLOAT32);
  return launched("vbl_lowrank_delta");
}

vbl_status lowrank_merge(vbl_stream *stream, const Update &update, int32_t sign, void *weight, int32_t weight_dtype) {
  VBL_CUDA_OP("vbl_lowrank_merge", stream);
  with_dtype(weight_dtype, [&](auto *type) {
    launch<true>(stream, update, sign, static_cast<decltype(type)>(weight), weight_dtype);
  });
  return launched("vbl_lowrank_merge");
}

}  // namespace cuda
}  // namespace vbl
