// Mathematical functions on vectors of float.
#pragma once
#include "runtime/simd.h"

namespace vbl {
namespace VBL_ISA {

typedef uint32_t vbits __attribute__((vector_size(sizeof(vfloat))));

// e^x within one unit in the last place, without branches: infinity from 88.72284 on, denormal numbers down to 1.4e-45
// (unless the thread's control register flushes them to zero), 0 below -103.98; NaN stays NaN.
inline vfloat exp(vfloat x) {
  x = min(splat(89.0f), max(splat(-104.0f), x));
  // x = n ln 2 + rest, |rest| <= ln 2 / 2. Adding 1.5 · 2^23 rounds to an integer and leaves it in the low bits; the
  // high part of ln 2 has nine bits, so that its products with n are exact.
  const vfloat magic = splat(0x1.8p23f), shifted = fma(x, splat(0x1.715476p0f), magic), n = shifted - magic;
  const vfloat rest = fma(n, splat(2.12194440e-4f), fma(n, splat(-0.693359375f), x));
  // e^rest = 1 + rest + rest² · polynomial, with the coefficients of Cephes' expf (Moshier).
  vfloat p = splat(1.9875691500e-4f);
  p = fma(p, rest, splat(1.3981999507e-3f));
  p = fma(p, rest, splat(8.3334519073e-3f));
  p = fma(p, rest, splat(4.1665795894e-2f));
  p = fma(p, rest, splat(1.6666665459e-1f));
  p = fma(p, rest, splat(5.0000001201e-1f));
  const vfloat y = fma(p, rest * rest, rest) + 1.0f;
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

}  // namespace VBL_ISA
}  // namespace vbl
