#include "admixture/topk.simd.h"

#include "runtime/simd.h"

namespace vbl {
namespace VBL_ISA {
namespace {

constexpr int64_t kBlock = 64;

// Bit i: a[i] is not less than b[i], nor, for kAscending, equal. Where one of them is NaN it is set.
template <bool kAscending>
inline uint64_t not_below(vfloat a, vfloat b) {
#if defined(VBL_ISA_avx512)
  return _mm512_cmp_ps_mask(a, b, kAscending ? _CMP_NLE_UQ : _CMP_NLT_UQ);
#elif defined(VBL_ISA_avx2)
  return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(a, b, kAscending ? _CMP_NLE_UQ : _CMP_NLT_UQ)));
#else
  const vint lanes = kAscending ? ~(a <= b) : ~(a < b);
#if defined(__SSE2__)
  return static_cast<uint32_t>(_mm_movemask_ps(reinterpret_cast<__m128>(lanes)));
#else
  uint64_t bits = 0;
  for (int l = 0; l < kLanes; ++l) bits |= static_cast<uint64_t>(lanes[l] & 1) << l;
  return bits;
#endif
#endif
}

// Bit i: logits[i] may get in, i < n <= 64. Where indices ascend, one equal to the worst one held stays out.
template <bool kAscending>
inline uint64_t may_enter(int64_t n, const float *logits, float worst) {
  const vfloat limit = splat(worst);
  uint64_t bits = 0;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) bits |= not_below<kAscending>(load(logits + i), limit) << i;
  if constexpr (kLanes > 4) {
    if (i < n) bits |= (not_below<kAscending>(load(logits + i, n - i), limit) & ((uint64_t{1} << (n - i)) - 1)) << i;
  } else {
    for (; i < n; ++i) bits |= static_cast<uint64_t>(kAscending ? !(logits[i] <= worst) : !(logits[i] < worst)) << i;
  }
  return bits;
}

inline float larger(float a, float b) { return a > b ? a : b; }
inline float smaller(float a, float b) { return a < b ? a : b; }

// A bar that at least k of n logits reach, 1 <= k <= 4, high enough that few others do: of the maxima of four groups the
// k-th largest, or for k = 3 the smallest. NaN are passed over here, and no bar is too high for them.
inline float bar(int64_t n, const float *logits, int32_t k) {
  constexpr int64_t kWidth = 64;
  float lane[kWidth];
  for (int64_t l = 0; l < kWidth; ++l) lane[l] = -__builtin_inff();
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth)
    for (int64_t l = 0; l < kWidth; ++l) lane[l] = larger(logits[i + l], lane[l]);
  for (; i + 16 <= n; i += 16)
    for (int64_t l = 0; l < 16; ++l) lane[l] = larger(logits[i + l], lane[l]);
  for (int64_t l = 0; l < 32; ++l) lane[l] = larger(lane[l + 32], lane[l]);
  for (int64_t l = 0; l < 16; ++l) lane[l] = larger(lane[l + 16], lane[l]);
  for (int64_t l = 0; l < 8; ++l) lane[l] = larger(lane[l + 8], lane[l]);
  for (int64_t l = 0; l < 4; ++l) lane[l] = larger(lane[l + 4], lane[l]);
  const float a = larger(lane[0], lane[2]), b = larger(lane[1], lane[3]);
  const float below_a = smaller(lane[0], lane[2]), below_b = smaller(lane[1], lane[3]);
  if (k == 1) return larger(a, b);
  if (k == 2) return larger(smaller(a, b), larger(below_a, below_b));
  return smaller(below_a, below_b);
}

template <bool kAscending>
void scan(TopK *top, int64_t n, const float *logits, const int32_t *index, const uint64_t *excluded) {
  const auto offer = [&](int64_t i) {
    const int32_t at = kAscending ? static_cast<int32_t>(i) : index[i];
    if (excluded != nullptr && (excluded[at >> 6] >> (at & 63) & 1) != 0) return false;
    return topk_push(top, logits[i], at);
  };
  // Most logits of a short row would get in for a while if the bar rose with those held alone.
  const bool known = excluded == nullptr && top->capacity <= 4;
  const float lowest = known ? bar(n, logits, top->capacity) : 0;
  int64_t i = 0;
  if (!known)
    for (; i < n && top->size < top->capacity; ++i) offer(i);
  for (; i < n; i += kBlock) {
    const auto block = [&] {
      const int64_t length = n - i < kBlock ? n - i : kBlock;
      return top->size < top->capacity ? may_enter<false>(length, logits + i, lowest)
                                       : may_enter<kAscending>(length, logits + i, top->logit[0]);
    };
    for (uint64_t bits = block(); bits != 0;) {
      const int bit = __builtin_ctzll(bits);
      bits &= bits - 1;
      if (offer(i + bit) && bits != 0 && top->size == top->capacity) bits &= block();  // the bar is higher now
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
