// The mask of dropout, float32 [tokens, in].
//
//   bytes  4 per element, written once
//   work   one Philox counter (about 60 instructions) per 4 elements
//
// A thread draws one counter and writes its 4 elements, 16 bytes at a time where they lie so.
#include "lowrank/lowrank.h"
#include "runtime/launch.cuh"

namespace vbl {
namespace cuda {
namespace {

__global__ void __launch_bounds__(256)
    draw_dropout_mask(int64_t n, const vbl_step *step, Dropout dropout, float *mask) {
  if (step != nullptr) set_key(dropout, *step);
  const uint64_t block = dropout.first / 4 + static_cast<uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t place = static_cast<int64_t>(4 * block - dropout.first);  // of the counter's element 0; may be negative
  if (place >= n) return;
  uint64_t c[4][1] = {{block}, {0}, {0}, {0}};
  dropout_words<PhiloxLane>(dropout, c);
  const auto factor = [&](uint64_t word) {
    return static_cast<uint32_t>(word) >= dropout.threshold ? dropout.kept : 0.0f;
  };
  const float4 v = make_float4(factor(c[0][0]), factor(c[1][0]), factor(c[2][0]), factor(c[3][0]));
  float *to = mask + place;
  if (place >= 0 && place + 4 <= n && reinterpret_cast<uintptr_t>(to) % 16 == 0) {
    __stwb(reinterpret_cast<float4 *>(to), v);
    return;
  }
  if (place >= 0) to[0] = v.x;
  if (place + 1 >= 0 && place + 1 < n) to[1] = v.y;
  if (place + 2 >= 0 && place + 2 < n) to[2] = v.z;
  if (place + 3 < n) to[3] = v.w;
}

}  // namespace

vbl_status dropout_mask(vbl_stream *stream, const LowrankBranch &b, const vbl_step *step, float *mask) {
  VBL_CUDA_OP("vbl_dropout_mask", stream);
  const Dropout &dropout = b.dropout;
  const int64_t n = b.tokens * b.in;
  const int64_t counters = (static_cast<int64_t>(dropout.first % 4) + n + 3) / 4;
  VBL_LAUNCH(draw_dropout_mask, static_cast<unsigned>((counters + 255) / 256), 256, 0, handle(stream), n,
             b.drops ? step : nullptr, dropout, mask);
  return launched("vbl_dropout_mask");
}

}  // namespace cuda
}  // namespace vbl
