#include "transformer/attention.simd.h"

#include "runtime/simd_math.h"

// Scores are held transposed, [keys, queries], so that a vector is one key's scores for neighbouring queries: the
// softmax needs no sum across lanes, and keys and values are read where they lie, one number broadcast at a time.

namespace vbl {
namespace VBL_ISA {
namespace {

constexpr int64_t kQueries = kAttentionQueries, kKeys = kAttentionKeys;
constexpr int kTileVectors = kQueries / kLanes;
#if defined(VBL_ISA_avx512)
constexpr int kRows = 8;  // register blocks of rows by two vectors: 16 accumulators of 32 registers
#else
constexpr int kRows = 4;  // 8 of 16
#endif

constexpr int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// put(r, c, vector) the product of a [rows, depth] and b [depth, columns] in row r and columns from c: R rows and V
// vectors at a time. a's element (r, i) lies at a[r · row + i · step].
template <int R, int V, class Put>
void multiply(int64_t rows, int64_t columns, int64_t depth, const float *a, int64_t row, int64_t step, const float *b,
              int64_t ldb, const Put &put, int64_t r = 0, int64_t c = 0) {
  for (; r + R <= rows; r += R) {
    int64_t at = c;
    for (; at + V * kLanes <= columns; at += V * kLanes) {
      vfloat total[R][V] = {};
      const float *as = a + r * row, *bs = b + at;
      for (int64_t i = 0; i < depth; ++i, as += step, bs += ldb) {
        vfloat bv[V];
        for (int v = 0; v < V; ++v) bv[v] = load(bs + v * kLanes);
        for (int s = 0; s < R; ++s) {
          const vfloat av = splat(as[s * row]);
          for (int v = 0; v < V; ++v) total[s][v] = fma(av, bv[v], total[s][v]);
        }
      }
      for (int s = 0; s < R; ++s)
        for (int v = 0; v < V; ++v) put(r + s, at + v * kLanes, total[s][v]);
    }
    if constexpr (V > 1)
      if (at < columns) multiply<R, 1>(r + R, columns, depth, a, row, step, b, ldb, put, r, at);
  }
  if constexpr (R > 1)
    if (r < rows) multiply<R / 2, V>(rows, columns, depth, a, row, step, b, ldb, put, r, c);
}

// to [head_dim, kQueries] = factor · the transpose of x's first `queries` rows; the other columns are zero.
void transpose(int64_t queries, int64_t head_dim, const float *x, int64_t stride, float factor, float *to) {
  for (int64_t c = 0; c < head_dim; ++c) {
    for (int64_t i = 0; i < queries; ++i) to[c * kQueries + i] = factor * x[i * stride + c];
    for (int64_t i = queries; i < kQueries; ++i) to[c * kQueries + i] = 0;
  }
}

// The way back: factors[i] scales query i.
void transpose_back(int64_t queries, int64_t head_dim, const float *x, const float *factors, float *to, int64_t stride) {
  for (int64_t i = 0; i < queries; ++i)
    for (int64_t c = 0; c < head_dim; ++c) to[i * stride + c] = factors[i] * x[c * kQueries + i];
}

// to [kQueries, attention_columns] = factor · x, zero wherever x has no element.
void copy_rows(int64_t queries, int64_t head_dim, const float *x, int64_t stride, float factor, float *to) {
  const int64_t columns = attention_columns(head_dim);
  for (int64_t i = 0; i < kQueries; ++i) {
    const int64_t filled = i < queries ? head_dim : 0;
    for (int64_t c = 0; c < filled; ++c) to[i * columns + c] = factor * x[i * stride + c];
    for (int64_t c = filled; c < columns; ++c) to[i * columns + c] = 0;
  }
}

// Scores of keys from `first` that a tile's queries do not see become -infinity.
void mask(int64_t begin, int64_t first, int64_t keys, float *scores) {
  vint lane{};
  for (int i = 0; i < kLanes; ++i) lane[i] = i;
  for (int64_t j = 0; j < keys; ++j)
    for (int v = 0; v < kTileVectors; ++v) {
      const int32_t hidden = static_cast<int32_t>(first + j - begin - v * kLanes);  // lanes below do not see the key
      float *at = scores + j * kQueries + v * kLanes;
      store(at, lane < hidden ? splat(-__builtin_inff()) : load(at));
    }
}

// scores [keys, kQueries] = rows first .. first + keys - 1 of k times qt, masked.
void score(const AttentionHead &head, int64_t begin, int64_t first, int64_t keys, const float *k, const float *qt,
           float *scores) {
  multiply<kRows, 2>(keys, kQueries, head.head_dim, k + first * head.kv_stride, head.kv_stride, 1, qt, kQueries,
                     [scores](int64_t j, int64_t i, vfloat x) { store(scores + j * kQueries + i, x); });
  if (head.causal && first + keys - 1 > begin) mask(begin, first, keys, scores);
}

// Keys that the tile's last query sees.
int64_t visible(const AttentionHead &head, int64_t begin) {
  return head.causal ? least(begin + kQueries, head.length) : head.length;
}

}  // namespace

void attention_forward(const AttentionHead &head, int64_t begin, const float *q, const float *k, const float *v,
                       float *out, float *lse, const AttentionScratch &scratch) {
  const int64_t queries = least(kQueries, head.length - begin), dim = head.head_dim, end = visible(head, begin);
  float *scores = scratch.scores, *outt = scratch.outt;
  transpose(queries, dim, q + begin * head.q_stride, head.q_stride, head.scale, scratch.qt);
  for (int64_t e = 0; e < dim * kQueries; ++e) outt[e] = 0;
  vfloat greatest_score[kTileVectors], total[kTileVectors] = {};
  for (vfloat &g : greatest_score) g = splat(-__builtin_inff());

  for (int64_t first = 0; first < end; first += kKeys) {
    const int64_t keys = least(kKeys, end - first);
    score(head, begin, first, keys, k, scratch.qt, scores);
    vfloat now[kTileVectors], shrink[kTileVectors];
    for (int t = 0; t < kTileVectors; ++t) now[t] = greatest_score[t];
    for (int64_t j = 0; j < keys; ++j)
      for (int t = 0; t < kTileVectors; ++t) now[t] = max(load(scores + j * kQueries + t * kLanes), now[t]);
    // Every query sees the first key, so from the first block on the greatest score is finite.
    for (int t = 0; t < kTileVectors; ++t) {
      shrink[t] = exp(greatest_score[t] - now[t]);
      greatest_score[t] = now[t];
      total[t] *= shrink[t];
    }
    for (int64_t j = 0; j < keys; ++j)
      for (int t = 0; t < kTileVectors; ++t) {
        float *at = scores + j * kQueries + t * kLanes;
        const vfloat p = exp(load(at) - now[t]);
        store(at, p);
        total[t] += p;
      }
    multiply<kRows, 2>(dim, kQueries, keys, v + first * head.kv_stride, 1, head.kv_stride, scores, kQueries,
                       [&](int64_t c, int64_t i, vfloat x) {
                         float *at = outt + c * kQueries + i;
                         store(at, fma(load(at), shrink[i / kLanes], x));
                       });
  }

  float factors[kQueries], greatest_scores[kQueries], totals[kQueries];
  for (int t = 0; t < kTileVectors; ++t) {
    store(factors + t * kLanes, 1.0f / total[t]);
    store(greatest_scores + t * kLanes, greatest_score[t]);
    store(totals + t * kLanes, total[t]);
  }
  transpose_back(queries, dim, outt, factors, out + begin * head.q_stride, head.q_stride);
  for (int64_t i = 0; i < queries; ++i) lse[begin + i] = greatest_scores[i] + __builtin_logf(totals[i]);
}

void attention_backward(const AttentionHead &head, int64_t begin, const float *q, const float *k, const float *v,
                        const float *out, const float *lse, const float *dout, float *dq, float *dk, float *dv,
                        const AttentionScratch &scratch) {
  const int64_t queries = least(kQueries, head.length - begin), dim = head.head_dim, end = visible(head, begin);
  const int64_t q_stride = head.q_stride, kv_stride = head.kv_stride, ld = attention_columns(dim);
  const int64_t columns = (dim + kLanes - 1) / kLanes * kLanes;
  float *scores = scratch.scores, *dscores = scratch.dscores, *dqt = scratch.dqt;
  transpose(queries, dim, q + begin * q_stride, q_stride, head.scale, scratch.qt);
  transpose(queries, dim, dout + begin * q_stride, q_stride, 1, scratch.outt);
  copy_rows(queries, dim, q + begin * q_stride, q_stride, head.scale, scratch.q_rows);
  copy_rows(queries, dim, dout + begin * q_stride, q_stride, 1, scratch.dout_rows);
  for (int64_t e = 0; e < dim * kQueries; ++e) dqt[e] = 0;
  // delta is what the softmax's gradient subtracts, the sum of p · dp, by way of out. Queries beyond the tile's end have
  // dout 0 and so add nothing.
  float log_sums[kQueries] = {}, deltas[kQueries] = {}, factors[kQueries];
  for (int64_t i = 0; i < queries; ++i) {
    const float *row = out + (begin + i) * q_stride;
    vfloat total{};
    for (int64_t c = 0; c < dim; c += kLanes)
      total = fma(c + kLanes <= dim ? load(row + c) : load(row + c, dim - c), load(scratch.dout_rows + i * ld + c), total);
    deltas[i] = sum(total);
    log_sums[i] = lse[begin + i];
  }

  const auto add_rows = [&](int64_t first, float *to) {
    return [=](int64_t j, int64_t c, vfloat x) {
      float *at = to + (first + j) * kv_stride + c;
      if (c + kLanes <= dim)
        store(at, load(at) + x);
      else
        store(at, load(at, dim - c) + x, dim - c);
    };
  };
  for (int64_t first = 0; first < end; first += kKeys) {
    const int64_t keys = least(kKeys, end - first);
    score(head, begin, first, keys, k, scratch.qt, scores);
    multiply<kRows, 2>(keys, kQueries, dim, v + first * kv_stride, kv_stride, 1, scratch.outt, kQueries,
                       [dscores](int64_t j, int64_t i, vfloat x) { store(dscores + j * kQueries + i, x); });
    for (int64_t j = 0; j < keys; ++j)
      for (int64_t i = 0; i < kQueries; i += kLanes) {
        float *p_at = scores + j * kQueries + i, *ds_at = dscores + j * kQueries + i;
        const vfloat p = exp(load(p_at) - load(log_sums + i));
        store(p_at, p);
        store(ds_at, p * (load(ds_at) - load(deltas + i)));
      }
    multiply<kRows, 2>(keys, columns, queries, scores, kQueries, 1, scratch.dout_rows, ld, add_rows(first, dv));
    multiply<kRows, 2>(keys, columns, queries, dscores, kQueries, 1, scratch.q_rows, ld, add_rows(first, dk));
    multiply<kRows, 2>(dim, kQueries, keys, k + first * kv_stride, 1, kv_stride, dscores, kQueries,
                       [dqt](int64_t c, int64_t i, vfloat x) {
                         float *at = dqt + c * kQueries + i;
                         store(at, load(at) + x);
                       });
  }
  for (float &f : factors) f = head.scale;
  transpose_back(queries, dim, dqt, factors, dq + begin * q_stride, q_stride);
}

}  // namespace VBL_ISA
}  // namespace vbl
