// vbl_sum_squares: n float32 -> one float64, in two launches: a partial sum per block, then one block adds them up.
//
// Floor: 4 n bytes; a bank of 2048 · 256 and 39,040 · 2 logits' gradients have 2.4 MB: the launches are what it costs.
//
// Squares of float32 are exact in float64, so that only the order of the sums could show; it is fixed: which thread
// adds what depends on n alone, and not on alignment. Threads read single floats, in whole lines per warp, four of
// them under way.
#include "optimizer/sum_squares.h"
#include "runtime/launch.cuh"

namespace vbl {
namespace cuda {
namespace {

constexpr int kThreads = 256;

// The block's sum, in thread 0.
__device__ __forceinline__ double sum_of_block(double value) {
  __shared__ double of_warp[kThreads / kWarp];
  const int thread = static_cast<int>(threadIdx.x);
  for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) value += __shfl_down_sync(kAllLanes, value, lanes);
  if (thread % kWarp == 0) of_warp[thread / kWarp] = value;
  __syncthreads();
  double sum = 0;
  for (int warp = 0; thread == 0 && warp < kThreads / kWarp; ++warp) sum += of_warp[warp];
  return sum;
}

__global__ void __launch_bounds__(kThreads) sum_squares_of_blocks(int64_t n, const float *x, double *partial) {
  double sum = 0;
#pragma unroll 4
  for (int64_t i = blockIdx.x * int64_t{kThreads} + threadIdx.x; i < n; i += gridDim.x * int64_t{kThreads}) {
    const double value = x[i];
    sum += value * value;
  }
  sum = sum_of_block(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

VBL_ONE_BLOCK __global__ void __launch_bounds__(kThreads)
    add_partial_sums(int n, const double *partial, double *total) {
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kThreads) sum += partial[i];
  sum = sum_of_block(sum);
  if (threadIdx.x == 0) *total += sum;
}

}  // namespace

vbl_status sum_squares(vbl_stream *stream, int64_t n, const float *x, double *sum, double *partial) {
  VBL_CUDA_OP("vbl_sum_squares", stream);
  const int blocks = static_cast<int>(sum_squares_blocks(n));
  VBL_LAUNCH(sum_squares_of_blocks, static_cast<unsigned>(blocks), kThreads, 0, handle(stream), n, x, partial);
  VBL_LAUNCH(add_partial_sums, 1, kThreads, 0, handle(stream), blocks, partial, sum);
  return launched("vbl_sum_squares");
}

}  // namespace cuda
}  // namespace vbl
