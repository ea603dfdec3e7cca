// Attention in the manner of FlashAttention (arXiv 2205.14135, 2307.08691): the scores of a tile of queries are made,
// used and forgotten block by block, and the backward pass makes them again from q, k and the log of their sums.
// Floor, for a causal sequence of n tokens and h heads of d: forward 2 · n² · h · d FLOPs, backward 5 · n² · h · d.
#include <algorithm>
#include <cmath>
#include <utility>

#include "runtime/scratch.h"
#include "runtime/stream.h"
#include "transformer/attention.simd.h"
#include "vblora/transformer.h"

namespace {

constexpr int64_t kTaskScores = 1 << 16;  // scores times head_dim that are worth a task of their own
constexpr int64_t kBackwardTasks = 32;    // tasks of the backward pass that are enough for any machine

vbl_status check(const char *op, const vbl_attention *attention) {
  VBL_REQUIRE(attention != nullptr, "%s: attention must not be NULL", op);
  const vbl_attention &a = *attention;
  const struct {
    const char *name;
    int32_t value;
  } sizes[] = {{"batch", a.batch},       {"length", a.length},     {"heads", a.heads},
               {"kv_heads", a.kv_heads}, {"head_dim", a.head_dim}};
  for (const auto &size : sizes) VBL_REQUIRE(size.value >= 1, "%s: %s must be positive, found %d", op, size.name, size.value);
  VBL_REQUIRE(a.heads % a.kv_heads == 0, "%s: heads must be a multiple of kv_heads, found %d and %d", op, a.heads,
              a.kv_heads);
  const int64_t elements = INT64_MAX / static_cast<int64_t>(sizeof(float)) / a.batch / a.length / a.heads;
  VBL_REQUIRE(a.head_dim <= elements, "%s: batch %d of length %d with %d heads of %d is too large", op, a.batch, a.length,
              a.heads, a.head_dim);
  VBL_REQUIRE(a.causal == 0 || a.causal == 1, "%s: causal must be 0 or 1, found %d", op, a.causal);
  VBL_REQUIRE(std::isfinite(a.scale), "%s: scale must be finite, found %g", op, static_cast<double>(a.scale));
  return VBL_OK;
}

vbl_status check_lengths(const char *op, const vbl_attention &a) {
  for (int32_t b = 0; a.lengths != nullptr && b < a.batch; ++b)
    VBL_REQUIRE(a.lengths[b] >= 1 && a.lengths[b] <= a.length, "%s: lengths[%d] must lie in 1 .. %d, found %d", op, b,
                a.length, a.lengths[b]);
  return VBL_OK;
}

// Where a batch's heads lie.
struct Layout {
  explicit Layout(const vbl_attention &attention)
      : a(attention),
        group(a.heads / a.kv_heads),
        q_stride(int64_t{a.heads} * a.head_dim),
        kv_stride(int64_t{a.kv_heads} * a.head_dim),
        tiles((a.length + kAttentionQueries - 1) / kAttentionQueries) {}

  int64_t q(int64_t b, int64_t head) const { return b * a.length * q_stride + head * a.head_dim; }
  int64_t kv(int64_t b, int64_t kv_head) const { return b * a.length * kv_stride + kv_head * a.head_dim; }
  int64_t lse(int64_t b, int64_t head) const { return (b * a.heads + head) * a.length; }
  vbl::AttentionHead head(int64_t b) const {
    return {a.lengths != nullptr ? a.lengths[b] : a.length, a.head_dim, q_stride, kv_stride, a.causal == 1, a.scale};
  }
  // Pieces that the query heads of a key/value head are cut into in the backward pass; all but the first sum dk and dv
  // in scratch memory.
  int64_t parts() const {
    const int64_t whole = int64_t{a.batch} * a.kv_heads;
    return std::min<int64_t>(group, (kBackwardTasks + whole - 1) / whole);
  }

  const vbl_attention &a;
  int64_t group, q_stride, kv_stride, tiles;
};

struct Buffers {
  float *dk, *dv;  // [parts - 1, batch · length, kv_heads · head_dim]
  float *workers;  // [threads, per_worker]
  int64_t per_worker;

  vbl::AttentionScratch worker(int32_t worker, int64_t head_dim) const {
    float *at = workers + worker * per_worker;
    const auto take = [&at](int64_t n) { return std::exchange(at, at + n); };
    const int64_t transposed = head_dim * kAttentionQueries, scores = kAttentionKeys * kAttentionQueries;
    const int64_t rows = kAttentionQueries * vbl::attention_columns(head_dim);
    vbl::AttentionScratch s;
    s.qt = take(transposed);
    s.outt = take(transposed);
    s.dqt = take(transposed);
    s.scores = take(scores);
    s.dscores = take(scores);
    s.q_rows = take(rows);
    s.dout_rows = take(rows);
    return s;
  }
};

Buffers lay_out(vbl::Scratch &scratch, int32_t threads, const vbl_attention &a) {
  const Layout layout(a);
  Buffers b;
  b.per_worker = kAttentionQueries * (3 * int64_t{a.head_dim} + 2 * kAttentionKeys + 2 * vbl::attention_columns(a.head_dim));
  b.workers = scratch.take<float>(threads, b.per_worker);
  const int64_t parts = layout.parts() - 1, elements = a.batch * a.length * layout.kv_stride;
  b.dk = scratch.take<float>(parts, elements);
  b.dv = scratch.take<float>(parts, elements);
  return b;
}

// Zero in rows begin .. end - 1 of a head.
void clear(int64_t begin, int64_t end, int64_t stride, int64_t head_dim, float *x) {
  for (int64_t t = begin; t < end; ++t) std::fill_n(x + t * stride, head_dim, 0.0f);
}

}  // namespace

extern "C" int64_t vbl_attention_scratch_bytes(const vbl_stream *stream, const vbl_attention *attention) {
  const auto checked = [&]() -> vbl_status {
    VBL_REQUIRE(stream != nullptr, "vbl_attention_scratch_bytes: stream must not be NULL");
    return check("vbl_attention_scratch_bytes", attention);
  };
  if (checked() != VBL_OK) return -1;
  vbl::Scratch scratch;
  lay_out(scratch, vbl_stream_threads(stream), *attention);
  return scratch.bytes();
}

extern "C" vbl_status vbl_attention_forward(vbl_stream *stream, const vbl_attention *attention, const float *q,
                                            const float *k, const float *v, float *out, float *lse, void *scratch,
                                            int64_t scratch_bytes) {
  VBL_REQUIRE_CPU(stream);
  VBL_TRY(check(__func__, attention));
  VBL_REQUIRE_POINTER(q);
  VBL_REQUIRE_POINTER(k);
  VBL_REQUIRE_POINTER(v);
  VBL_REQUIRE_POINTER(out);
  VBL_REQUIRE_POINTER(lse);
  VBL_TRY(vbl::check_scratch(__func__, scratch, scratch_bytes, vbl_attention_scratch_bytes(stream, attention)));
  VBL_TRY(check_lengths(__func__, *attention));
  const vbl_attention a = *attention;
  const Layout layout(a);
  vbl::Scratch memory(scratch);
  const Buffers buffers = lay_out(memory, stream->team.threads(), a);
  const int64_t tile_work = kAttentionQueries * a.length * int64_t{a.head_dim}, tiles = layout.tiles;
  const int64_t grain = std::max<int64_t>(1, kTaskScores / tile_work);
  vbl::parallel_for(stream, a.batch * a.heads * tiles, grain, [&](int64_t from, int64_t to, int32_t worker) {
    const vbl::AttentionScratch work = buffers.worker(worker, a.head_dim);
    for (int64_t i = from; i < to; ++i) {
      const int64_t b = i / tiles / a.heads, h = i / tiles % a.heads, kv = layout.kv(b, h / layout.group);
      const int64_t begin = i % tiles * kAttentionQueries, end = std::min<int64_t>(begin + kAttentionQueries, a.length);
      const vbl::AttentionHead head = layout.head(b);
      float *head_out = out + layout.q(b, h), *head_lse = lse + layout.lse(b, h);
      const int64_t padding = std::clamp(head.length, begin, end);
      if (begin < padding)
        VBL_SIMD(attention_forward)(head, begin, q + layout.q(b, h), k + kv, v + kv, head_out, head_lse, work);
      clear(padding, end, layout.q_stride, a.head_dim, head_out);
      std::fill(head_lse + padding, head_lse + end, 0.0f);
    }
  });
  return VBL_OK;
}

extern "C" vbl_status vbl_attention_backward(vbl_stream *stream, const vbl_attention *attention, const float *q,
                                             const float *k, const float *v, const float *out, const float *lse,
                                             const float *dout, float *dq, float *dk, float *dv, void *scratch,
                                             int64_t scratch_bytes) {
  VBL_REQUIRE_CPU(stream);
  VBL_TRY(check(__func__, attention));
  VBL_REQUIRE_POINTER(q);
  VBL_REQUIRE_POINTER(k);
  VBL_REQUIRE_POINTER(v);
  VBL_REQUIRE_POINTER(out);
  VBL_REQUIRE_POINTER(lse);
  VBL_REQUIRE_POINTER(dout);
  VBL_REQUIRE_POINTER(dq);
  VBL_REQUIRE_POINTER(dk);
  VBL_REQUIRE_POINTER(dv);
  VBL_TRY(vbl::check_scratch(__func__, scratch, scratch_bytes, vbl_attention_scratch_bytes(stream, attention)));
  VBL_TRY(check_lengths(__func__, *attention));
  const vbl_attention a = *attention;
  const Layout layout(a);
  vbl::Scratch memory(scratch);
  const Buffers buffers = lay_out(memory, stream->team.threads(), a);
  const int64_t parts = layout.parts(), elements = a.batch * a.length * layout.kv_stride;
  vbl::parallel_for(stream, a.batch * a.kv_heads * parts, 1, [&](int64_t task, int64_t, int32_t worker) {
    const vbl::AttentionScratch work = buffers.worker(worker, a.head_dim);
    const int64_t part = task % parts, kv_head = task / parts % a.kv_heads, b = task / parts / a.kv_heads;
    const int64_t kv = layout.kv(b, kv_head);
    const vbl::AttentionHead head = layout.head(b);
    float *part_dk = (part == 0 ? dk : buffers.dk + (part - 1) * elements) + kv;
    float *part_dv = (part == 0 ? dv : buffers.dv + (part - 1) * elements) + kv;
    clear(0, a.length, layout.kv_stride, a.head_dim, part_dk);
    clear(0, a.length, layout.kv_stride, a.head_dim, part_dv);
    for (int64_t g = part * layout.group / parts; g < (part + 1) * layout.group / parts; ++g) {
      const int64_t h = kv_head * layout.group + g, at = layout.q(b, h);
      for (int64_t begin = 0; begin < head.length; begin += kAttentionQueries)
        VBL_SIMD(attention_backward)(head, begin, q + at, k + kv, v + kv, out + at, lse + layout.lse(b, h), dout + at,
                                     dq + at, part_dk, part_dv, work);
      clear(head.length, a.length, layout.q_stride, a.head_dim, dq + at);
    }
  });
  if (parts > 1)
    vbl::parallel_for(stream, elements, 1 << 14, [&](int64_t begin, int64_t end) {
      for (int64_t part = 0; part < parts - 1; ++part)
        for (int64_t i = begin; i < end; ++i) {
          dk[i] += buffers.dk[part * elements + i];
          dv[i] += buffers.dv[part * elements + i];
        }
    });
  return VBL_OK;
}
