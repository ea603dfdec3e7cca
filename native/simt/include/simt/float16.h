// What the 16-bit floating-point types share: conversions by bits, rounding once to the nearest, ties to even, and
// arithmetic in float, whose 24 bits make the second rounding harmless for one operation on operands of up to 11 bits.
#pragma once
#include <cmath>
#include <cstdint>

#include "simt/atomic.h"

namespace simt {

// A float that rounds to any format of at most 22 significant bits as x does: inexact results have an odd last bit.
inline float round_to_odd(double x) {
  const float f = static_cast<float>(x);
  const double back = static_cast<double>(f);
  uint32_t bits = bit_cast<uint32_t>(f);
  if (back == x || x != x || (bits & 1)) return f;
  if (std::isinf(f)) return std::isinf(x) ? f : std::copysign(0x1.fffffep127f, f);
  const bool away = std::fabs(x) > std::fabs(back);
  if (bits << 1 == 0) return std::copysign(0x1p-149f, static_cast<float>(std::copysign(1.0, x)));
  return bit_cast<float>(away ? bits + 1 : bits - 1);
}

inline float bfloat16_to_float(uint16_t bits) { return bit_cast<float>(uint32_t{bits} << 16); }
inline uint16_t float_to_bfloat16(float f) {
  const uint32_t u = bit_cast<uint32_t>(f);
  if (f != f) return 0x7fff;
  return static_cast<uint16_t>((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

inline float half_to_float(uint16_t bits) {
  const uint32_t sign = uint32_t{bits & 0x8000u} << 16, exponent = bits >> 10 & 31, fraction = bits & 0x3ffu;
  if (exponent == 31) return bit_cast<float>(sign | 0x7f800000u | fraction << 13);
  if (exponent == 0) {
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  return bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
}
inline uint16_t float_to_half(float f) {
  const uint32_t u = bit_cast<uint32_t>(f), sign = u >> 16 & 0x8000u, magnitude = u & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return 0x7fff;
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // 65520 and more round to infinity
  if (magnitude < 0x38800000u) {
    // Below the smallest normal number: a multiple of 2^-24, and adding 0.5 rounds to such.
    const uint32_t rounded = bit_cast<uint32_t>(bit_cast<float>(magnitude) + 0.5f) - bit_cast<uint32_t>(0.5f);
    return static_cast<uint16_t>(sign | rounded);
  }
  return static_cast<uint16_t>(sign | (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1)) >> 13);
}

}  // namespace simt

// The type T and its pair T2, with what works alike for both formats.
#define SIMT_SMALL_FLOAT(T, T2, to_float, from_float)                                                          \
  struct T##_raw {                                                                                             \
    unsigned short x;                                                                                          \
  };                                                                                                           \
  struct alignas(2) T {                                                                                        \
    T() = default;                                                                                             \
    T(T##_raw raw) : bits_(raw.x) {}                                                                           \
    T(float x) : bits_(::simt::from_float(x)) {}                                                               \
    T(double x) : bits_(::simt::from_float(::simt::round_to_odd(x))) {}                                        \
    T(int x) : T(static_cast<double>(x)) {}                                                                    \
    T(unsigned x) : T(static_cast<double>(x)) {}                                                               \
    operator float() const { return ::simt::to_float(bits_); }                                                 \
    operator T##_raw() const { return {bits_}; }                                                               \
    unsigned short bits() const { return bits_; }                                                              \
                                                                                                               \
   private:                                                                                                    \
    unsigned short bits_;                                                                                      \
  };                                                                                                           \
  struct alignas(4) T2 {                                                                                       \
    T2() = default;                                                                                            \
    T2(T x_, T y_) : x(x_), y(y_) {}                                                                           \
    T x, y;                                                                                                    \
  };                                                                                                           \
  inline T __hadd(T a, T b) { return T(float(a) + float(b)); }                                                 \
  inline T __hsub(T a, T b) { return T(float(a) - float(b)); }                                                 \
  inline T __hmul(T a, T b) { return T(float(a) * float(b)); }                                                 \
  inline T __hdiv(T a, T b) { return T(float(a) / float(b)); }                                                 \
  inline T __hfma(T a, T b, T c) { return T(std::fma(double(float(a)), double(float(b)), double(float(c)))); } \
  inline T __hneg(T a) { return T##_raw{static_cast<unsigned short>(a.bits() ^ 0x8000u)}; }                    \
  inline T __habs(T a) { return T##_raw{static_cast<unsigned short>(a.bits() & 0x7fffu)}; }                    \
  inline T __hmin(T a, T b) { return T(std::fmin(float(a), float(b))); }                                       \
  inline T __hmax(T a, T b) { return T(std::fmax(float(a), float(b))); }                                       \
  inline T hsqrt(T a) { return T(std::sqrt(float(a))); }                                                       \
  inline T hexp(T a) { return T(std::exp(float(a))); }                                                         \
  inline T hlog(T a) { return T(std::log(float(a))); }                                                         \
  inline bool __heq(T a, T b) { return float(a) == float(b); }                                                 \
  inline bool __hne(T a, T b) { return float(a) < float(b) || float(a) > float(b); }                           \
  inline bool __hlt(T a, T b) { return float(a) < float(b); }                                                  \
  inline bool __hle(T a, T b) { return float(a) <= float(b); }                                                 \
  inline bool __hgt(T a, T b) { return float(a) > float(b); }                                                  \
  inline bool __hge(T a, T b) { return float(a) >= float(b); }                                                 \
  inline bool __hisnan(T a) { return std::isnan(float(a)); }                                                   \
  inline int __hisinf(T a) { return std::isinf(float(a)) ? (float(a) > 0 ? 1 : -1) : 0; }                      \
  inline T operator+(T a, T b) { return __hadd(a, b); }                                                        \
  inline T operator-(T a, T b) { return __hsub(a, b); }                                                        \
  inline T operator*(T a, T b) { return __hmul(a, b); }                                                        \
  inline T operator/(T a, T b) { return __hdiv(a, b); }                                                        \
  inline T operator-(T a) { return __hneg(a); }                                                                \
  inline T &operator+=(T &a, T b) { return a = a + b; }                                                        \
  inline T &operator-=(T &a, T b) { return a = a - b; }                                                        \
  inline T &operator*=(T &a, T b) { return a = a * b; }                                                        \
  inline T &operator/=(T &a, T b) { return a = a / b; }                                                        \
  inline bool operator==(T a, T b) { return __heq(a, b); }                                                     \
  inline bool operator!=(T a, T b) { return !__heq(a, b); }                                                    \
  inline bool operator<(T a, T b) { return __hlt(a, b); }                                                      \
  inline bool operator<=(T a, T b) { return __hle(a, b); }                                                     \
  inline bool operator>(T a, T b) { return __hgt(a, b); }                                                      \
  inline bool operator>=(T a, T b) { return __hge(a, b); }                                                     \
  inline T2 __hadd2(T2 a, T2 b) { return {a.x + b.x, a.y + b.y}; }                                             \
  inline T2 __hsub2(T2 a, T2 b) { return {a.x - b.x, a.y - b.y}; }                                             \
  inline T2 __hmul2(T2 a, T2 b) { return {a.x * b.x, a.y * b.y}; }                                             \
  inline T2 __h2div(T2 a, T2 b) { return {a.x / b.x, a.y / b.y}; }                                             \
  inline T2 __hfma2(T2 a, T2 b, T2 c) { return {__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)}; }               \
  inline T2 __hneg2(T2 a) { return {-a.x, -a.y}; }                                                             \
  inline T2 __habs2(T2 a) { return {__habs(a.x), __habs(a.y)}; }                                               \
  inline T2 __hmin2(T2 a, T2 b) { return {__hmin(a.x, b.x), __hmin(a.y, b.y)}; }                               \
  inline T2 __hmax2(T2 a, T2 b) { return {__hmax(a.x, b.x), __hmax(a.y, b.y)}; }                               \
  inline float __low2float(T2 a) { return a.x; }                                                               \
  inline float __high2float(T2 a) { return a.y; }
