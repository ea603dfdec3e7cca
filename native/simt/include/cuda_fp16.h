// IEEE half precision: 1 sign bit, 5 of exponent, 10 of fraction.
#pragma once
#include "cuda_runtime.h"
#include "simt/float16.h"

SIMT_SMALL_FLOAT(__half, __half2, half_to_float, float_to_half)
typedef __half half;
typedef __half2 half2;

inline float __half2float(__half a) { return a; }
inline __half __float2half(float a) { return a; }
inline __half __float2half_rn(float a) { return a; }
inline __half __double2half(double a) { return a; }
inline unsigned short __half_as_ushort(__half a) { return a.bits(); }
inline short __half_as_short(__half a) { return static_cast<short>(a.bits()); }
inline __half __ushort_as_half(unsigned short a) { return __half_raw{a}; }
inline __half __short_as_half(short a) { return __half_raw{static_cast<unsigned short>(a)}; }

inline float2 __half22float2(__half2 a) { return {a.x, a.y}; }
inline __half2 __float22half2_rn(float2 a) { return {a.x, a.y}; }
inline __half2 __floats2half2_rn(float a, float b) { return {a, b}; }
inline __half2 __float2half2_rn(float a) { return {a, a}; }
inline __half2 __half2half2(__half a) { return {a, a}; }
inline __half2 __halves2half2(__half a, __half b) { return {a, b}; }
inline __half2 make_half2(__half a, __half b) { return {a, b}; }
inline __half __low2half(__half2 a) { return a.x; }
inline __half __high2half(__half2 a) { return a.y; }
