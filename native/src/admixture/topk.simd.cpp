#include "admixture/topk.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace vbl {
namespace VBL_ISA {
namespace {

constexpr int64_t kBlock = 64;

// Bit i: logits[i] may get in, i < n <= 64. Where indices ascend, one equal to the worst one held stays out.
template <bool kAscending>
inline uint64_t may_enter(int64_t n, const float *logits, float worst) {
  uint64_t bits = 0;
  int64_t i = 0;
#if defined(__AVX512F__)
  const __m512 limit = _mm512_set1_ps(worst);
  for (; i + 16 <= n; i += 16)
    bits |= static_cast<uint64_t>(_mm512_cmp_ps_mask(_mm512_loadu_ps(logits + i), limit,
                                                     kAscending ? _CMP_NLE_UQ : _CMP_NLT_UQ)) << i;
#elif defined(__AVX2__)
  const __m256 limit = _mm256_set1_ps(worst);
  for (; i + 8 <= n; i += 8)
    bits |= static_cast<uint64_t>(_mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(logits + i), limit,
                                                                   kAscending ? _CMP_NLE_UQ : _CMP_NLT_UQ))) << i;
#elif defined(__SSE2__)
  const __m128 limit = _mm_set1_ps(worst);
  for (; i + 4 <= n; i += 4) {
    const __m128 x = _mm_loadu_ps(logits + i);
    bits |= static_cast<uint64_t>(_mm_movemask_ps(kAscending ? _mm_cmpnle_ps(x, limit) : _mm_cmpnlt_ps(x, limit))) << i;
  }
#endif
  for (; i < n; ++i) bits |= static_cast<uint64_t>(kAscending ? !(logits[i] <= worst) : !(logits[i] < worst)) << i;
  return bits;
}

template <bool kAscending>
void scan(TopK *top, int64_t n, const float *logits, const int32_t *index, const uint64_t *excluded) {
  const auto offer = [&](int64_t i) {
    const int32_t at = kAscending ? static_cast<int32_t>(i) : index[i];
    if (excluded != nullptr && (excluded[at >> 6] >> (at & 63) & 1) != 0) return false;
    return topk_push(top, logits[i], at);
  };
  int64_t i = 0;
  for (; i < n && top->size < top->capacity; ++i) offer(i);
  for (; i < n; i += kBlock) {
    const auto block = [&] {
      return i + kBlock <= n ? may_enter<kAscending>(kBlock, logits + i, top->logit[0])
                             : may_enter<kAscending>(n - i, logits + i, top->logit[0]);
    };
    for (uint64_t bits = block(); bits != 0;) {
      const int bit = __builtin_ctzll(bits);
      bits &= bits - 1;
      if (offer(i + bit)) bits &= block();  // the bar is higher now
    }
  }
}

}  // namespace

void topk_scan(TopK *top, int64_t n, const float *logits, const int32_t *index, const uint64_t *excluded) {
  if (index == nullptr) {
    scan<true>(top, n, logits, index, excluded);
  } else {
    scan<false>(top, n, logits, index, excluded);
  }
}

}  // namespace VBL_ISA
}  // namespace vbl
