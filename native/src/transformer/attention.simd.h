// Inner loops of attention: one tile of queries of one head against all keys that it sees.
#pragma once
#include <cstdint>

#include "runtime/isa.h"

// Queries of a tile, and keys that it meets at a time. A tile computes with all of its queries, whether they are there
// or not; one that has half of them or less is done in half a tile.
constexpr int64_t kAttentionQueries = 32, kAttentionKeys = 64;
// Whole vectors of every instruction set.
constexpr int64_t kAttentionAlignment = 16;

namespace vbl {

// One head of one sequence. Pointers that go with it point at its first token; the next token's row is a stride on.
// With causal, query i sees keys 0 .. i + keys - queries.
struct AttentionHead {
  int64_t queries, keys;  // tokens that are not padding
  int64_t head_dim;
  int64_t q_stride, kv_stride, out_stride;  // of q and dq; k and v; out and dout
  int64_t dkv_stride;                       // of what dk and dv are added to
  bool causal;
  float scale;
  const int32_t *pages;  // NULL, or k and v point at the first row of all pages and these are the sequence's
  int64_t page_rows;
};

// Scratch memory of one worker.
struct AttentionScratch {
  float *qt, *outt, *dqt;     // [head_dim, queries]; outt holds dout in the backward pass
  float *scores, *dscores;    // [kAttentionKeys, queries]
  float *q_rows, *dout_rows;  // [queries, columns]
  float *k_rows, *v_rows;     // [kAttentionKeys, head_dim] of keys that lie in pages
  int64_t columns;            // head_dim rounded up to a multiple of kAttentionAlignment
};

}  // namespace vbl

// out and lse of queries begin .. min(begin + kAttentionQueries, queries) - 1.
VBL_SIMD_FUNCTION(void, attention_forward,
                  (const vbl::AttentionHead &head, int64_t begin, const float *q, const float *k, const float *v,
                   float *out, float *lse, const vbl::AttentionScratch &scratch))

// dq (overwritten) of queries begin .. min(begin + kAttentionQueries, queries) - 1, which add to dk and dv.
VBL_SIMD_FUNCTION(void, attention_backward,
                  (const vbl::AttentionHead &head, int64_t begin, const float *q, const float *k, const float *v,
                   const float *out, const float *lse, const float *dout, float *dq, float *dk, float *dv,
                   const vbl::AttentionScratch &scratch))
