#include "runtime/convert.simd.h"

#if defined(__F16C__)
#include <immintrin.h>
#endif

namespace vbl {
namespace VBL_ISA {
namespace {

inline float from_bits(uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

inline uint32_t to_bits(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float half_to_float(uint16_t half) {
#if defined(__F16C__)
  return _cvtsh_ss(half);
#else
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t rest = half & 0x7fffu;
  if (rest >= 0x7c00u)
    return from_bits(sign | 0x7f800000u | ((rest & 0x3ffu) << 13) | ((rest & 0x3ffu) ? 0x400000u : 0u));
  if (rest >= 0x0400u) return from_bits(sign | ((rest << 13) + 0x38000000u));
  return from_bits(sign | to_bits(static_cast<float>(rest) * 0x1p-24f));
#endif
}

inline uint16_t float_to_half(float value) {
#if defined(__F16C__)
  return static_cast<uint16_t>(_cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT));
#else
  const uint32_t bits = to_bits(value);
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
  const uint32_t rest = bits & 0x7fffffffu;
  if (rest > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u | (rest >> 13 & 0x3ffu));
  if (rest >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);
  if (rest >= 0x38800000u)
    return static_cast<uint16_t>(sign | ((rest - 0x38000000u + 0xfffu + (rest >> 13 & 1u)) >> 13));
  // Subnormal: adding 0.5 leaves the rounded multiple of 2^-24 in the low bits.
  return static_cast<uint16_t>(sign | (to_bits(from_bits(rest) + 0.5f) - 0x3f000000u));
#endif
}

inline uint16_t float_to_bfloat16(float value) {
  const uint32_t bits = to_bits(value);
  const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  const uint32_t quiet = bits >> 16 | 0x40u;
  return static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

}  // namespace

void widen_bfloat16(int64_t n, const uint16_t *source, float *destination) {
  for (int64_t i = 0; i < n; ++i) destination[i] = from_bits(static_cast<uint32_t>(source[i]) << 16);
}

void widen_float16(int64_t n, const uint16_t *source, float *destination) {
  int64_t i = 0;
#if defined(__F16C__)
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps(destination + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(source + i))));
#endif
  for (; i < n; ++i) destination[i] = half_to_float(source[i]);
}

void narrow_bfloat16(int64_t n, const float *source, uint16_t *destination) {
  for (int64_t i = 0; i < n; ++i) destination[i] = float_to_bfloat16(source[i]);
}

void narrow_float16(int64_t n, const float *source, uint16_t *destination) {
  int64_t i = 0;
#if defined(__F16C__)
  for (; i + 8 <= n; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i *>(destination + i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(source + i), _MM_FROUND_TO_NEAREST_INT));
#endif
  for (; i < n; ++i) destination[i] = float_to_half(source[i]);
}

}  // namespace VBL_ISA
}  // namespace vbl
