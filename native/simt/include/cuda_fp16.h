// Stand-in for CUDA's header of this name: float16 numbers and their conversions.
#pragma once
#include "simt/float16.h"
#include "vector_types.h"

struct __half_raw {
  unsigned short x;
};
struct __half {
  unsigned short __x;
  __half() = default;
  __half(const __half_raw &raw) : __x(raw.x) {}
  __half(float value) : __x(::simt::float_to_half(value)) {}
  operator __half_raw() const { return {__x}; }
  operator float() const { return ::simt::half_to_float(__x); }
};
struct alignas(4) __half2 {
  __half x, y;
};
using half = __half;
using half2 = __half2;

inline float __half2float(__half value) { return ::simt::half_to_float(value.__x); }
inline __half __float2half_rn(float value) { return __half(value); }
inline __half __float2half(float value) { return __half(value); }
inline __half __ushort_as_half(unsigned short bits) { return __half(__half_raw{bits}); }
inline unsigned short __half_as_ushort(__half value) { return value.__x; }
inline float2 __half22float2(__half2 value) { return {__half2float(value.x), __half2float(value.y)}; }
inline __half2 __floats2half2_rn(float x, float y) { return {__half(x), __half(y)}; }
inline __half2 __float22half2_rn(float2 value) { return __floats2half2_rn(value.x, value.y); }
