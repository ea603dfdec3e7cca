// 128 elements in the hands of a warp, four of each lane: with 16-byte loads four that lie together, else four that
// lie 32 apart, so that either way the warp touches whole lines. A lane's elements ascend.
#pragma once
#include <cstdint>

#include "runtime/launch.cuh"

namespace vbl {
namespace cuda {

constexpr int kChunk = 4 * kWarp;

// Where the lane's c-th element of the chunk that begins at base stands.
template <bool kVector, typename Int>
__device__ __forceinline__ Int chunk_at(Int base, int lane, int c) {
  return kVector ? base + 4 * lane + c : base + lane + kWarp * c;
}

// Four elements in one load.
__device__ __forceinline__ float4 load_quad(const float *p) { return *reinterpret_cast<const float4 *>(p); }
__device__ __forceinline__ int4 load_quad(const int32_t *p) { return *reinterpret_cast<const int4 *>(p); }

// x[c] = p[chunk_at(c)] for those below n. With 16-byte loads whole quadruples are read if their first element is
// below n: n must then be a multiple of 4, or the memory go on.
template <bool kVector, typename T, typename Int>
__device__ __forceinline__ void load_chunk(const T *p, Int base, Int n, int lane, T (&x)[4]) {
  if (kVector) {
    x[0] = x[1] = x[2] = x[3] = 0;
    if (chunk_at<true>(base, lane, 0) < n) {
      const auto v = load_quad(p + chunk_at<true>(base, lane, 0));
      x[0] = v.x, x[1] = v.y, x[2] = v.z, x[3] = v.w;
    }
  } else {
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      const Int i = chunk_at<false>(base, lane, c);
      x[c] = i < n ? p[i] : 0;
    }
  }
}

// The same way back; n as there.
template <bool kVector, typename Int>
__device__ __forceinline__ void store_chunk(float *p, Int base, Int n, int lane, const float (&x)[4]) {
  if (kVector) {
    if (chunk_at<true>(base, lane, 0) < n)
      __stwb(reinterpret_cast<float4 *>(p + chunk_at<true>(base, lane, 0)), make_float4(x[0], x[1], x[2], x[3]));
  } else {
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      const Int i = chunk_at<false>(base, lane, c);
      if (i < n) p[i] = x[c];
    }
  }
}

}  // namespace cuda
}  // namespace vbl
