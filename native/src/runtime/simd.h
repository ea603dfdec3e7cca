// Vectors of float for *.simd.cpp files: as wide as the instruction set has them, in a namespace of its own.
// Operators are those of GCC's vector extension; what the code fuses it says with fma().
#pragma once
#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace vbl {
namespace VBL_ISA {

#if defined(VBL_ISA_avx512)
constexpr int kLanes = 16;
#elif defined(VBL_ISA_avx2)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float vfloat __attribute__((vector_size(kLanes * sizeof(float))));
typedef int32_t vint __attribute__((vector_size(kLanes * sizeof(int32_t))));

// No alignment is asked for.
inline vfloat load(const float *p) {
  vfloat v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
inline void store(float *p, vfloat v) { __builtin_memcpy(p, &v, sizeof v); }

// The first n < kLanes elements; the rest is zero, and memory behind them is not touched.
inline vfloat load(const float *p, int64_t n) {
#if defined(VBL_ISA_avx512)
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
#elif defined(VBL_ISA_avx2)
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_maskload_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), lane));
#else
  float buffer[kLanes] = {};
  for (int64_t i = 0; i < n; ++i) buffer[i] = p[i];
  return load(buffer);
#endif
}
inline void store(float *p, vfloat v, int64_t n) {
#if defined(VBL_ISA_avx512)
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), v);
#else
  for (int64_t i = 0; i < n; ++i) p[i] = v[i];
#endif
}

inline vfloat splat(float a) { return a - vfloat{}; }

// a · b + c, rounded once where the instruction set can.
inline vfloat fma(vfloat a, vfloat b, vfloat c) {
#if defined(VBL_ISA_avx512)
  return _mm512_fmadd_ps(a, b, c);
#elif defined(VBL_ISA_avx2)
  return _mm256_fmadd_ps(a, b, c);
#else
  return a * b + c;
#endif
}
inline float fma(float a, float b, float c) {
#if defined(VBL_ISA_avx512) || defined(VBL_ISA_avx2)
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}

// Half as many doubles, for sums of products of floats. Those products are exact, so that fusing them changes no bit.
constexpr int kDoubles = kLanes / 2;
typedef double vdouble __attribute__((vector_size(kDoubles * sizeof(double))));

// By intrinsics: GCC 12 takes __builtin_convertvector apart into halves.
inline vdouble widen(const float *p) {
#if defined(VBL_ISA_avx512)
  return _mm512_maskz_cvtps_pd(0xFF, _mm256_loadu_ps(p));
#elif defined(VBL_ISA_avx2)
  return _mm256_cvtps_pd(_mm_loadu_ps(p));
#else
  return vdouble{p[0], p[1]};
#endif
}
inline vfloat narrow(vdouble low, vdouble high) {
#if defined(VBL_ISA_avx512)
  const __m512 lower = _mm512_castps256_ps512(_mm512_maskz_cvtpd_ps(0xFF, low));
  return _mm512_insertf32x8(lower, _mm512_maskz_cvtpd_ps(0xFF, high), 1);
#elif defined(VBL_ISA_avx2)
  return _mm256_set_m128(_mm256_cvtpd_ps(high), _mm256_cvtpd_ps(low));
#else
  return vfloat{static_cast<float>(low[0]), static_cast<float>(low[1]), static_cast<float>(high[0]),
                static_cast<float>(high[1])};
#endif
}
inline void store(double *p, vdouble v) { __builtin_memcpy(p, &v, sizeof v); }
inline vdouble splat_double(double a) { return a - vdouble{}; }
inline vdouble fma(vdouble a, vdouble b, vdouble c) {
#if defined(VBL_ISA_avx512)
  return _mm512_fmadd_pd(a, b, c);
#elif defined(VBL_ISA_avx2)
  return _mm256_fmadd_pd(a, b, c);
#else
  return a * b + c;
#endif
}

// b where a is not greater, or not less, or either is not a number: one instruction, which GCC does not find by itself.
inline vfloat max(vfloat a, vfloat b) {
#if defined(VBL_ISA_avx512)
  return _mm512_maskz_max_ps(0xFFFF, a, b);
#elif defined(VBL_ISA_avx2)
  return _mm256_max_ps(a, b);
#else
  return a > b ? a : b;
#endif
}
inline vfloat min(vfloat a, vfloat b) {
#if defined(VBL_ISA_avx512)
  return _mm512_maskz_min_ps(0xFFFF, a, b);
#elif defined(VBL_ISA_avx2)
  return _mm256_min_ps(a, b);
#else
  return a < b ? a : b;
#endif
}

// Every lane i gets lane i xor distance.
template <int distance>
inline vfloat exchange(vfloat v) {
  vint from{};
  for (int i = 0; i < kLanes; ++i) from[i] = i ^ distance;
  return __builtin_shuffle(v, from);
}

template <int distance>
inline vdouble exchange(vdouble v) {
  int64_t from __attribute__((vector_size(kDoubles * sizeof(int64_t)))) = {};
  for (int i = 0; i < kDoubles; ++i) from[i] = i ^ distance;
  return __builtin_shuffle(v, from);
}

// Sum and greatest of the lanes, by halves.
inline float sum(vfloat v) {
  if constexpr (kLanes > 8) v += exchange<8>(v);
  if constexpr (kLanes > 4) v += exchange<4>(v);
  v += exchange<2>(v);
  return v[0] + v[1];
}
inline double sum(vdouble v) {
  if constexpr (kDoubles > 4) v += exchange<4>(v);
  if constexpr (kDoubles > 2) v += exchange<2>(v);
  return v[0] + v[1];
}
inline float greatest(vfloat v) {
  if constexpr (kLanes > 8) v = max(v, exchange<8>(v));
  if constexpr (kLanes > 4) v = max(v, exchange<4>(v));
  v = max(v, exchange<2>(v));
  return v[0] > v[1] ? v[0] : v[1];
}

}  // namespace VBL_ISA
}  // namespace vbl
