#include "transformer/attention.simd.h"

#include "runtime/simd_math.h"

// Scores are held transposed, [keys, queries], so that a vector is one key's scores for neighbouring queries: the
// softmax needs no sum across lanes, and keys and values are read where they lie, one number broadcast at a time.

namespace vbl {
namespace VBL_ISA {
namespace {

#if defined(VBL_ISA_avx512)
constexpr int kRows = 8;  // register blocks of rows by one or two vectors: 16 accumulators of 32 registers
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

// The same for b [depth, Q], a tile of Q queries.
template <int64_t Q, class Put>
void multiply_tile(int64_t rows, int64_t depth, const float *a, int64_t row, int64_t step, const float *b,
                   const Put &put) {
  constexpr int kVectors = Q / kLanes < 2 ? 1 : 2;
  multiply<kRows, kVectors>(rows, Q, depth, a, row, step, b, Q, put);
}

// Lanes and rows change places in blocks of `distance`, which all distances together make a transposition.
template <int distance>
[[gnu::always_inline]] inline void exchange_blocks(vfloat (&rows)[kLanes]) {
  vint low{}, high{};
  for (int i = 0; i < kLanes; ++i) {
    low[i] = i & distance ? kLanes + i - distance : i;
    high[i] = i & distance ? kLanes + i : i + distance;
  }
#pragma GCC unroll 16
  for (int r = 0; r < kLanes; ++r)
    if ((r & distance) == 0) {
      const vfloat a = rows[r], b = rows[r + distance];
      rows[r] = __builtin_shuffle(a, b, low);
      rows[r + distance] = __builtin_shuffle(a, b, high);
    }
}

// put(c, vector) the first `columns` columns of the kLanes rows that get(r) gives.
template <class Get, class Put>
[[gnu::always_inline]] inline void transpose(int64_t columns, const Get &get, const Put &put) {
  vfloat rows[kLanes];
#pragma GCC unroll 16
  for (int r = 0; r < kLanes; ++r) rows[r] = get(r);
  if constexpr (kLanes > 8) exchange_blocks<8>(rows);
  if constexpr (kLanes > 4) exchange_blocks<4>(rows);
  exchange_blocks<2>(rows);
  exchange_blocks<1>(rows);
#pragma GCC unroll 16
  for (int c = 0; c < kLanes; ++c)
    if (c < columns) put(c, rows[c]);
}

vfloat load_up_to(const float *p, int64_t n) { return n >= kLanes ? load(p) : load(p, n); }
void store_up_to(float *p, vfloat v, int64_t n) { n >= kLanes ? store(p, v) : store(p, v, n); }

// to [head_dim, Q] = factor · the transpose of x's first `queries` rows; the other columns are zero.
template <int64_t Q>
void to_columns(int64_t queries, int64_t head_dim, const float *x, int64_t stride, float factor, float *to) {
  for (int64_t i = 0; i < Q; i += kLanes)
    for (int64_t c = 0; c < head_dim; c += kLanes)
      transpose(
          head_dim - c,
          [&](int64_t r) { return i + r < queries ? load_up_to(x + (i + r) * stride + c, head_dim - c) : vfloat{}; },
          [&](int64_t r, vfloat v) { store(to + (c + r) * Q + i, v * factor); });
}

// The way back: factors[i] scales query i.
template <int64_t Q>
void to_rows(int64_t queries, int64_t head_dim, const float *x, const float *factors, float *to, int64_t stride) {
  for (int64_t i = 0; i < queries; i += kLanes) {
    const vfloat factor = load(factors + i);
    for (int64_t c = 0; c < head_dim; c += kLanes)
      transpose(
          queries - i, [&](int64_t r) { return c + r < head_dim ? load(x + (c + r) * Q + i) * factor : vfloat{}; },
          [&](int64_t r, vfloat v) { store_up_to(to + (i + r) * stride + c, v, head_dim - c); });
  }
}

// to [queries, ld] = factor · x, in whole vectors: zero where x has no column.
void copy_rows(int64_t queries, int64_t head_dim, const float *x, int64_t stride, float factor, float *to, int64_t ld) {
  for (int64_t i = 0; i < queries; ++i)
    for (int64_t c = 0; c < head_dim; c += kLanes)
      store(to + i * ld + c, load_up_to(x + i * stride + c, head_dim - c) * factor);
}

// Scores of keys from `first` that a tile's queries do not see become -infinity. begin: the last key that the first of
// them sees.
template <int64_t Q>
void mask(int64_t begin, int64_t first, int64_t keys, float *scores) {
  vint lane{};
  for (int i = 0; i < kLanes; ++i) lane[i] = i;
  for (int64_t j = 0; j < keys; ++j)
    for (int64_t i = 0; i < Q; i += kLanes) {
      const int32_t hidden = static_cast<int32_t>(first + j - begin - i);  // lanes below do not see the key
      float *at = scores + j * Q + i;
      store(at, lane < hidden ? splat(-__builtin_inff()) : load(at));
    }
}

// Rows of keys or values one behind the other.
struct KeyRows {
  const float *first;
  int64_t stride;
};

// Rows first .. first + keys - 1 of k or v; where they lie in pages, a copy of them, small enough to stay in L1 or L2.
KeyRows key_rows(const AttentionHead &head, int64_t first, int64_t keys, const float *x, float *copy) {
  if (head.pages == nullptr) return {x + first * head.kv_stride, head.kv_stride};
  for (int64_t j = 0; j < keys; ++j) {
    const int64_t key = first + j, row = head.pages[key / head.page_rows] * head.page_rows + key % head.page_rows;
    for (int64_t c = 0; c < head.head_dim; ++c) copy[j * head.head_dim + c] = x[row * head.kv_stride + c];
  }
  return {copy, head.head_dim};
}

// scores [keys, Q] = rows first .. first + keys - 1 of k, which are those given, times qt, masked.
template <int64_t Q>
void score(const AttentionHead &head, int64_t begin, int64_t first, int64_t keys, const KeyRows &k, const float *qt,
           float *scores) {
  multiply_tile<Q>(keys, head.head_dim, k.first, k.stride, 1, qt,
                   [scores](int64_t j, int64_t i, vfloat x) { store(scores + j * Q + i, x); });
  const int64_t seen = begin + head.keys - head.queries;
  if (head.causal && first + keys - 1 > seen) mask<Q>(seen, first, keys, scores);
}

// One block of the online softmax: a vector of queries' scores become exponentials relative to the greatest so far.
template <int64_t Q>
void softmax(int64_t keys, float *scores, float *most, float *total, float *shrink) {
  const vfloat before = load(most);
  vfloat now = before, also = load(scores);
  int64_t j = 1;
  for (; j + 2 <= keys; j += 2) {
    now = max(load(scores + j * Q), now);
    also = max(load(scores + (j + 1) * Q), also);
  }
  if (j < keys) now = max(load(scores + j * Q), now);
  now = max(also, now);  // finite from the first block on: every query sees the first key
  const vfloat ratio = exp(before - now);
  vfloat sum = load(total) * ratio;
  for (j = 0; j < keys; ++j) {
    const vfloat p = exp(load(scores + j * Q) - now);
    store(scores + j * Q, p);
    sum += p;
  }
  store(most, now);
  store(total, sum);
  store(shrink, ratio);
}

// Keys that the queries before `end` see.
int64_t visible(const AttentionHead &head, int64_t end) {
  return head.causal ? least(end + head.keys - head.queries, head.keys) : head.keys;
}

template <int64_t Q>
void forward_tile(const AttentionHead &head, int64_t begin, const float *q, const float *k, const float *v, float *out,
                  float *lse, const AttentionScratch &scratch) {
  const int64_t queries = least(Q, head.queries - begin), dim = head.head_dim, end = visible(head, begin + Q);
  float *scores = scratch.scores, *outt = scratch.outt;
  to_columns<Q>(queries, dim, q + begin * head.q_stride, head.q_stride, head.scale, scratch.qt);
  // Of each query, so far: its greatest score, the sum of exponentials relative to it, and what that shrank by last.
  float most[Q], total[Q], shrink[Q];
  for (int64_t i = 0; i < Q; ++i) most[i] = -__builtin_inff(), total[i] = 0;

  for (int64_t first = 0; first < end; first += kAttentionKeys) {
    const int64_t keys = least(kAttentionKeys, end - first);
    score<Q>(head, begin, first, keys, key_rows(head, first, keys, k, scratch.k_rows), scratch.qt, scores);
    for (int64_t i = 0; i < Q; i += kLanes) softmax<Q>(keys, scores + i, most + i, total + i, shrink + i);
    const KeyRows values = key_rows(head, first, keys, v, scratch.v_rows);
    multiply_tile<Q>(dim, keys, values.first, 1, values.stride, scores, [&](int64_t c, int64_t i, vfloat x) {
      float *at = outt + c * Q + i;
      store(at, first == 0 ? x : fma(load(at), load(shrink + i), x));
    });
  }

  for (int64_t i = 0; i < queries; ++i) lse[begin + i] = most[i] + __builtin_logf(total[i]);
  for (int64_t i = 0; i < Q; ++i) total[i] = 1 / total[i];
  to_rows<Q>(queries, dim, outt, total, out + begin * head.out_stride, head.out_stride);
}

// dk and dv are read and written once per tile.
template <int64_t Q>
void backward_tile(const AttentionHead &head, int64_t begin, const float *q, const float *k, const float *v,
                   const float *out, const float *lse, const float *dout, float *dq, float *dk, float *dv,
                   const AttentionScratch &scratch) {
  const int64_t queries = least(Q, head.queries - begin), dim = head.head_dim, end = visible(head, begin + Q);
  const int64_t q_stride = head.q_stride, kv_stride = head.kv_stride, out_stride = head.out_stride;
  const int64_t dkv_stride = head.dkv_stride, ld = scratch.columns;
  const int64_t columns = (dim + kLanes - 1) / kLanes * kLanes;
  float *scores = scratch.scores, *dscores = scratch.dscores, *dqt = scratch.dqt;
  to_columns<Q>(queries, dim, q + begin * q_stride, q_stride, head.scale, scratch.qt);
  to_columns<Q>(queries, dim, dout + begin * out_stride, out_stride, 1, scratch.outt);
  copy_rows(queries, dim, q + begin * q_stride, q_stride, head.scale, scratch.q_rows, ld);
  copy_rows(queries, dim, dout + begin * out_stride, out_stride, 1, scratch.dout_rows, ld);
  // delta is what the softmax's gradient subtracts, the sum of p · dp, by way of out.
  float log_sums[Q] = {}, deltas[Q] = {}, factors[Q];
  for (int64_t i = 0; i < queries; ++i) {
    const float *row = out + (begin + i) * out_stride;
    vfloat total{};
    for (int64_t c = 0; c < dim; c += kLanes)
      total = fma(load_up_to(row + c, dim - c), load(scratch.dout_rows + i * ld + c), total);
    deltas[i] = sum(total);
    log_sums[i] = lse[begin + i];
  }

  const auto add_rows = [&](int64_t first, float *to) {
    return [=](int64_t j, int64_t c, vfloat x) {
      float *at = to + (first + j) * dkv_stride + c;
      store_up_to(at, load_up_to(at, dim - c) + x, dim - c);
    };
  };
  for (int64_t first = 0; first < end; first += kAttentionKeys) {
    const int64_t keys = least(kAttentionKeys, end - first);
    score<Q>(head, begin, first, keys, {k + first * kv_stride, kv_stride}, scratch.qt, scores);
    multiply_tile<Q>(keys, dim, v + first * kv_stride, kv_stride, 1, scratch.outt,
                     [dscores](int64_t j, int64_t i, vfloat x) { store(dscores + j * Q + i, x); });
    for (int64_t j = 0; j < keys; ++j)
      for (int64_t i = 0; i < Q; i += kLanes) {
        float *p_at = scores + j * Q + i, *ds_at = dscores + j * Q + i;
        const vfloat p = exp(load(p_at) - load(log_sums + i));
        store(p_at, p);
        store(ds_at, p * (load(ds_at) - load(deltas + i)));
      }
    multiply<kRows, 2>(keys, columns, queries, scores, Q, 1, scratch.dout_rows, ld, add_rows(first, dv));
    multiply<kRows, 2>(keys, columns, queries, dscores, Q, 1, scratch.q_rows, ld, add_rows(first, dk));
    multiply_tile<Q>(dim, keys, k + first * kv_stride, 1, kv_stride, dscores,
                     [dqt, first](int64_t c, int64_t i, vfloat x) {
                       float *at = dqt + c * Q + i;
                       store(at, first == 0 ? x : load(at) + x);
                     });
  }
  for (float &f : factors) f = head.scale;
  to_rows<Q>(queries, dim, dqt, factors, dq + begin * q_stride, q_stride);
}

bool is_small(const AttentionHead &head, int64_t begin) { return head.queries - begin <= kAttentionQueries / 2; }

}  // namespace

void attention_forward(const AttentionHead &head, int64_t begin, const float *q, const float *k, const float *v,
                       float *out, float *lse, const AttentionScratch &scratch) {
  const auto tile = is_small(head, begin) ? forward_tile<kAttentionQueries / 2> : forward_tile<kAttentionQueries>;
  tile(head, begin, q, k, v, out, lse, scratch);
}

void attention_backward(const AttentionHead &head, int64_t begin, const float *q, const float *k, const float *v,
                        const float *out, const float *lse, const float *dout, float *dq, float *dk, float *dv,
                        const AttentionScratch &scratch) {
  const auto tile = is_small(head, begin) ? backward_tile<kAttentionQueries / 2> : backward_tile<kAttentionQueries>;
  tile(head, begin, q, k, v, out, lse, dout, dq, dk, dv, scratch);
}

}  // namespace VBL_ISA
}  // namespace vbl
