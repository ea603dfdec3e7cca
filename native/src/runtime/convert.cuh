// Elements of float32, bfloat16 and float16 in kernels: conversions, round to nearest even, NaN staying NaN; loads and
// stores of one element, of four, which are 16 bytes of float32 and 8 bytes of the others, and of eight of these.
//
// Here and in all kernels, stores of more than 4 bytes are __stwb's: nvcc makes one instruction of it. An assignment
// through a float4 * it takes apart wherever the values come together from several branches, into stores of 4 bytes each
// (tests/native/cuda/machine_code_test).
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "runtime/launch.cuh"

namespace vbl {
namespace cuda {

// Two elements of 2 bytes in a word, the first one in its low half. The pointer only says which type.
__device__ __forceinline__ float2 unpack_pair(uint32_t bits, const __nv_bfloat16 *) {
  return make_float2(__uint_as_float(bits << 16), __uint_as_float(bits & 0xFFFF0000u));
}
__device__ __forceinline__ float2 unpack_pair(uint32_t bits, const __half *) {
  return make_float2(__half2float(__ushort_as_half(static_cast<unsigned short>(bits))),
                     __half2float(__ushort_as_half(static_cast<unsigned short>(bits >> 16))));
}
__device__ __forceinline__ uint32_t pack_pair(float low, float high, const __nv_bfloat16 *) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return __bfloat16_as_ushort(pair.x) | static_cast<uint32_t>(__bfloat16_as_ushort(pair.y)) << 16;
}
__device__ __forceinline__ uint32_t pack_pair(float low, float high, const __half *) {
  const __half2 pair = __floats2half2_rn(low, high);
  return __half_as_ushort(pair.x) | static_cast<uint32_t>(__half_as_ushort(pair.y)) << 16;
}

__device__ __forceinline__ void load(const float *from, float (&v)[1]) { v[0] = *from; }
__device__ __forceinline__ void load(const __nv_bfloat16 *from, float (&v)[1]) {
  v[0] = __uint_as_float(static_cast<uint32_t>(__bfloat16_as_ushort(*from)) << 16);
}
__device__ __forceinline__ void load(const __half *from, float (&v)[1]) { v[0] = __half2float(*from); }
__device__ __forceinline__ void store(float *to, const float (&v)[1]) { *to = v[0]; }
__device__ __forceinline__ void store(__nv_bfloat16 *to, const float (&v)[1]) { *to = __float2bfloat16_rn(v[0]); }
__device__ __forceinline__ void store(__half *to, const float (&v)[1]) { *to = __float2half_rn(v[0]); }

// Four elements; the address is a multiple of their bytes.
__device__ __forceinline__ void load(const float *from, float (&v)[4]) {
  const float4 quad = *reinterpret_cast<const float4 *>(from);
  v[0] = quad.x;
  v[1] = quad.y;
  v[2] = quad.z;
  v[3] = quad.w;
}
__device__ __forceinline__ void store(float *to, const float (&v)[4]) {
  __stwb(reinterpret_cast<float4 *>(to), make_float4(v[0], v[1], v[2], v[3]));
}
template <typename T>
__device__ __forceinline__ void load(const T *from, float (&v)[4]) {
  const uint2 quad = *reinterpret_cast<const uint2 *>(from);
  const float2 low = unpack_pair(quad.x, from), high = unpack_pair(quad.y, from);
  v[0] = low.x;
  v[1] = low.y;
  v[2] = high.x;
  v[3] = high.y;
}
template <typename T>
__device__ __forceinline__ void store(T *to, const float (&v)[4]) {
  __stwb(reinterpret_cast<uint2 *>(to), make_uint2(pack_pair(v[0], v[1], to), pack_pair(v[2], v[3], to)));
}

// Eight elements of 2 bytes; the address is a multiple of 16.
template <typename T>
__device__ __forceinline__ void load(const T *from, float (&v)[8]) {
  const uint4 all = *reinterpret_cast<const uint4 *>(from);
  const uint32_t pairs[4] = {all.x, all.y, all.z, all.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 pair = unpack_pair(pairs[i], from);
    v[2 * i] = pair.x;
    v[2 * i + 1] = pair.y;
  }
}
template <typename T>
__device__ __forceinline__ void store(T *to, const float (&v)[8]) {
  __stwb(reinterpret_cast<uint4 *>(to), make_uint4(pack_pair(v[0], v[1], to), pack_pair(v[2], v[3], to),
                                                   pack_pair(v[4], v[5], to), pack_pair(v[6], v[7], to)));
}

// The same where `inside` holds, else zeros.
template <typename T, int V>
__device__ __forceinline__ void load_inside(bool inside, const T *from, float (&v)[V]) {
#pragma unroll
  for (int c = 0; c < V; ++c) v[c] = 0;
  if (inside) load(from, v);
}

// Calls body with a null pointer to the elements of a vbl_dtype.
template <typename Body>
void with_dtype(int32_t dtype, const Body &body) {
  switch (dtype) {
    case VBL_BFLOAT16:
      body(static_cast<__nv_bfloat16 *>(nullptr));
      break;
    case VBL_FLOAT16:
      body(static_cast<__half *>(nullptr));
      break;
    default:
      body(static_cast<float *>(nullptr));
  }
}

}  // namespace cuda
}  // namespace vbl
