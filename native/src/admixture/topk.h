// The k largest of a stream of logits, kept as a binary heap with the worst one at its root, so that any k costs
// O(log k) per entry that gets in, and nothing but one comparison per entry that does not.
//
// Order: larger logits first, NaN before every number, equal ones (-0 equals +0) by ascending index. It is total, so
// the result does not depend on the order in which entries come.
//
// The functions are static: files compiled per instruction set include them (runtime/isa.h).
#pragma once
#include <cstdint>

namespace vbl {

namespace cuda {
constexpr int32_t kWarpTopK = 32;  // the largest k that a warp selects; a block does beyond
}  // namespace cuda

struct TopK {
  int32_t capacity;  // k, from 1
  int32_t size;      // entries held
  int32_t *index;    // [capacity]
  float *logit;      // [capacity]
};

// Whether entry a stands before entry b.
static inline bool topk_before(float logit_a, int32_t index_a, float logit_b, int32_t index_b) {
  if (logit_a > logit_b) return true;
  if (logit_a < logit_b) return false;
  const bool nan_a = logit_a != logit_a, nan_b = logit_b != logit_b;
  return nan_a == nan_b ? index_a < index_b : nan_a;
}

// Puts an entry into the hole at the root of a heap of n entries.
static inline void topk_sift_down(TopK *top, int32_t n, float logit, int32_t index) {
  int32_t hole = 0;
  for (int32_t child = 1; child < n; child = 2 * hole + 1) {
    if (child + 1 < n &&
        topk_before(top->logit[child], top->index[child], top->logit[child + 1], top->index[child + 1]))
      ++child;
    if (!topk_before(logit, index, top->logit[child], top->index[child])) break;
    top->logit[hole] = top->logit[child];
    top->index[hole] = top->index[child];
    hole = child;
  }
  top->logit[hole] = logit;
  top->index[hole] = index;
}

// Offers an entry; whether it is now held.
static inline bool topk_push(TopK *top, float logit, int32_t index) {
  if (top->size == top->capacity) {
    if (!topk_before(logit, index, top->logit[0], top->index[0])) return false;
    topk_sift_down(top, top->capacity, logit, index);
    return true;
  }
  int32_t hole = top->size++;
  while (hole > 0) {
    const int32_t parent = (hole - 1) / 2;
    if (!topk_before(top->logit[parent], top->index[parent], logit, index)) break;
    top->logit[hole] = top->logit[parent];
    top->index[hole] = top->index[parent];
    hole = parent;
  }
  top->logit[hole] = logit;
  top->index[hole] = index;
  return true;
}

// Sorts the entries held, best first; the heap is then used up.
static inline void topk_sort(TopK *top) {
  for (int32_t last = top->size - 1; last > 0; --last) {
    const float worst_logit = top->logit[0];
    const int32_t worst_index = top->index[0];
    topk_sift_down(top, last, top->logit[last], top->index[last]);
    top->logit[last] = worst_logit;
    top->index[last] = worst_index;
  }
}

}  // namespace vbl
