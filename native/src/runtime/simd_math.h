// Mathematical functions on vectors of float.
#pragma once
#include "runtime/simd.h"

namespace vbl {
namespace VBL_ISA {

typedef uint32_t vbits __attribute__((vector_size(sizeof(vfloat))));

// e^rest - 1 for |rest| <= ln 2 / 2: rest + rest² · polynomial, with the coefficients of Cephes' expf (Moshier).
inline vfloat expm1_reduced(vfloat rest) {
  vfloat p = splat(1.9875691500e-4f);
  p = fma(p, rest, splat(1.3981999507e-3f));
  p = fma(p, rest, splat(8.3334519073e-3f));
  p = fma(p, rest, splat(4.1665795894e-2f));
  p = fma(p, rest, splat(1.6666665459e-1f));
  p = fma(p, rest, splat(5.0000001201e-1f));
  return fma(p, rest * rest, rest);
}

// e^x within one unit in the last place, without branches: infinity from 88.72284 on, denormal numbers down to 1.4e-45
// (unless the thread's control register flushes them to zero), 0 below -103.98; NaN stays NaN.
inline vfloat exp(vfloat x) {
  x = min(splat(89.0f), max(splat(-104.0f), x));
  // x = n ln 2 + rest, |rest| <= ln 2 / 2. Adding 1.5 · 2^23 rounds to an integer and leaves it in the low bits; the
  // high part of ln 2 has nine bits, so that its products with n are exact.
  const vfloat magic = splat(0x1.8p23f), shifted = fma(x, splat(0x1.715476p0f), magic), n = shifted - magic;
  const vfloat rest = fma(n, splat(2.12194440e-4f), fma(n, splat(-0.693359375f), x));
  const vfloat y = expm1_reduced(rest) + 1.0f;
#if defined(VBL_ISA_avx512)
  return _mm512_maskz_scalef_ps(0xFFFF, y, n);  // y · 2^n
#else
  // y · 2^n as two factors, each of which a float can hold.
  const vint exponent = reinterpret_cast<vint>(shifted) - reinterpret_cast<vint>(magic), half = exponent >> 1;
  const vbits low = reinterpret_cast<vbits>(half + 127) << 23;
  const vbits high = reinterpret_cast<vbits>(exponent - half + 127) << 23;
  return y * reinterpret_cast<vfloat>(low) * reinterpret_cast<vfloat>(high);
#endif
}

// a · b - product, product being a · b rounded.
inline vfloat product_error(vfloat a, vfloat b, vfloat product) {
#if defined(VBL_ISA_avx512) || defined(VBL_ISA_avx2)
  return fma(a, b, -product);
#else
  // Halves of twelve bits, whose products are exact (Dekker).
  const auto high = [](vfloat x) { return reinterpret_cast<vfloat>(reinterpret_cast<vbits>(x) & 0xFFFFF000u); };
  const vfloat ah = high(a), al = a - ah, bh = high(b), bl = b - bh;
  return ((ah * bh - product) + ah * bl + al * bh) + al * bl;
#endif
}

inline vfloat abs(vfloat x) { return reinterpret_cast<vfloat>(reinterpret_cast<vbits>(x) & 0x7FFFFFFFu); }

// |x| with the sign of y.
inline vfloat copysign(vfloat x, vfloat y) {
  return reinterpret_cast<vfloat>((reinterpret_cast<vbits>(x) & 0x7FFFFFFFu) |
                                  (reinterpret_cast<vbits>(y) & 0x80000000u));
}

// tanh within three units in the last place, without branches; NaN stays NaN.
inline vfloat tanh(vfloat x) {
  // By way of m = e^2|x| - 1: tanh |x| = m / (m + 2), which is 1 from |x| = 9.02 on. As in exp, e^2|x| = 2^n (1 + p),
  // so that m = 2^n p + (2^n - 1) does not cancel where n is 0.
  const vfloat twice = min(splat(20.0f), abs(x) + abs(x));
  const vfloat magic = splat(0x1.8p23f), shifted = fma(twice, splat(0x1.715476p0f), magic), n = shifted - magic;
  const vfloat rest = fma(n, splat(2.12194440e-4f), fma(n, splat(-0.693359375f), twice));
  const vint exponent = reinterpret_cast<vint>(shifted) - reinterpret_cast<vint>(magic);
  const vfloat power = reinterpret_cast<vfloat>(reinterpret_cast<vbits>(exponent + 127) << 23);
  const vfloat m = fma(power, expm1_reduced(rest), power - 1.0f);
  return copysign(m / (m + 2.0f), x);
}

// Of the standard normal distribution, for t >= 0: e^(-t²/2), and what it is multiplied by to give the probability of
// more than t, 1/2 erfc(t / sqrt(2)). The product is within four units in the last place where the exponential is not
// denormal, and 0 from t = 15 on; NaN stays NaN.
struct NormalTail {
  vfloat exponential, ratio;
};
inline NormalTail normal_tail(vfloat t) {
  const vfloat square = t * t, error = product_error(t, t, square);
  vfloat e = exp(square * -0.5f);
  e = fma(e, error * -0.5f, e);
  // A quotient of polynomials within 6e-9 of the ratio on [0, 14.5], fitted to that relative error by reweighted least
  // squares. All coefficients are positive: nothing cancels.
  vfloat p = splat(0.004116293704f);
  p = fma(p, t, splat(0.04063312572f));
  p = fma(p, t, splat(0.1832348434f));
  p = fma(p, t, splat(0.4382945604f));
  p = fma(p, t, splat(0.5f));
  vfloat q = splat(0.01031789844f);
  q = fma(q, t, splat(0.1018585890f));
  q = fma(q, t, splat(0.4694698515f));
  q = fma(q, t, splat(1.202501930f));
  q = fma(q, t, splat(1.674474102f));
  q = fma(q, t, splat(1.0f));
  return {e, p / q};
}

}  // namespace VBL_ISA
}  // namespace vbl
