#include "admixture/topk.h"

namespace vbl {
namespace VBL_ISA {
namespace {

constexpr int64_t kBlock = 32;

// Whether a block may hold an entry that gets in. Where indices ascend, a logit equal to the worst one held stays out.
template <bool kAscending>
inline bool may_enter(const float *logits, float worst) {
  int any = 0;
  for (int64_t i = 0; i < kBlock; ++i) any |= kAscending ? !(logits[i] <= worst) : !(logits[i] < worst);
  return any != 0;
}

template <bool kAscending>
void scan(TopK *top, int64_t n, const float *logits, const int32_t *index, const uint64_t *excluded) {
  const auto offer = [&](int64_t i) {
    const int32_t at = kAscending ? static_cast<int32_t>(i) : index[i];
    if (excluded != nullptr && (excluded[at >> 6] >> (at & 63) & 1) != 0) return;
    topk_push(top, logits[i], at);
  };
  int64_t i = 0;
  for (; i < n && top->size < top->capacity; ++i) offer(i);
  for (; i + kBlock <= n; i += kBlock) {
    if (!may_enter<kAscending>(logits + i, top->logit[0])) continue;
    for (int64_t j = i; j < i + kBlock; ++j) offer(j);
  }
  for (; i < n; ++i) offer(i);
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
