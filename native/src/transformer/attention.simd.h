// Inner loops of attention: one tile of queries of one head against all keys that it sees.
#pragma once
#include <cstdint>

#include "runtime/isa.h"

// Queries of a tile, and keys that it meets at a time.
constexpr int64_t kAttentionQueries = 32, kAttentionKeys = 64;

namespace vbl {

// One head of one sequence. Pointers that go with it point at its first token; the next token's row is a stride on.
struct AttentionHead {
  int64_t length, head_dim;     // tokens that are not padding
  int64_t q_stride, kv_stride;  // of q, out and their gradients; of k, v and theirs
  bool causal;
  float scale;
};

// Scratch memory of one worker. Transposed arrays have a column per query of the tile; rows of the others are padded to
// attention_columns(head_dim).
struct AttentionScratch {
  float *qt, *outt;        // [head_dim, kAttentionQueries]; outt holds dout in the backward pass
  float *scores;           // [kAttentionKeys, kAttentionQueries]
  float *dqt;              // [head_dim, kAttentionQueries]
  float *dscores;          // [kAttentionKeys, kAttentionQueries]
  float *q_rows, *dout_rows;  // [kAttentionQueries, attention_columns(head_dim)]
};

// head_dim rounded up to whole vectors of the widest instruction set.
inline int64_t attention_columns(int64_t head_dim) { return (head_dim + 15) / 16 * 16; }

}  // namespace vbl

// out and lse of queries begin .. min(begin + kAttentionQueries, length) - 1.
VBL_SIMD_FUNCTION(void, attention_forward,
                  (const vbl::AttentionHead &head, int64_t begin, const float *q, const float *k, const float *v,
                   float *out, float *lse, const vbl::AttentionScratch &scratch))

// dq of these queries (overwritten), and what they add to dk and dv.
VBL_SIMD_FUNCTION(void, attention_backward,
                  (const vbl::AttentionHead &head, int64_t begin, const float *q, const float *k, const float *v,
                   const float *out, const float *lse, const float *dout, float *dq, float *dk, float *dv,
                   const vbl::AttentionScratch &scratch))
