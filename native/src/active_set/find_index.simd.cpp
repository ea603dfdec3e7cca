#include "active_set/find_index.simd.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace vbl {
namespace VBL_ISA {

int64_t find_index(int64_t n, const int32_t *index, int32_t value) {
  int64_t i = 0;
#if defined(__AVX512F__)
  const __m512i wanted = _mm512_set1_epi32(value);
  for (; i + 16 <= n; i += 16) {
    const uint32_t equal = _mm512_cmpeq_epi32_mask(_mm512_loadu_si512(index + i), wanted);
    if (equal != 0) return i + __builtin_ctz(equal);
  }
#elif defined(__AVX2__)
  const __m256i wanted = _mm256_set1_epi32(value);
  for (; i + 8 <= n; i += 8) {
    const __m256i equal = _mm256_cmpeq_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(index + i)), wanted);
    const int bits = _mm256_movemask_ps(_mm256_castsi256_ps(equal));
    if (bits != 0) return i + __builtin_ctz(static_cast<unsigned>(bits));
  }
#endif
  for (; i < n; ++i)
    if (index[i] == value) return i;
  return -1;
}

}  // namespace VBL_ISA
}  // namespace vbl
