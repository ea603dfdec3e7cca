// Attention in the manner of FlashAttention (arXiv 2205.14135, 2307.08691): the scores of a tile of queries are made,
// used and forgotten block by block, and the backward pass makes them again from q, k and the log of their sums.
// Floor, for a causal sequence of n tokens and h heads of d: forward 2 n² h d FLOPs, backward 5 n² h d.
#include <algorithm>
#include <cmath>

#include "runtime/scratch.h"
#include "runtime/stream.h"
#include "transformer/attention.simd.h"
#include "transformer/shape.h"
#include "transformer/starts.h"
#include "vblora/transformer.h"

namespace {

constexpr int64_t kTaskScores = 1 << 16;  // scores times head_dim that are worth a task of their own
constexpr int64_t kBackwardTasks = 32;    // tasks of the backward pass that are enough for any machine

// The rows of keys and values, which are those of the queries where nothing is said of them.
const vbl_sequences &keys_of(const vbl_attention &a) { return a.keys.rows == 0 ? a.queries : a.keys; }

vbl_status check_rows(const char *op, const char *name, const vbl_attention &a, const vbl_sequences &s, int32_t heads) {
  VBL_REQUIRE(s.length >= 1, "%s: %s.length must be positive, found %d", op, name, s.length);
  const int64_t elements = INT64_MAX / static_cast<int64_t>(sizeof(float)) / a.batch / s.length / heads;
  VBL_REQUIRE(a.head_dim <= elements, "%s: batch %d of length %d with %d heads of %d is too large", op, a.batch,
              s.length, heads, a.head_dim);
  const long long most = static_cast<long long>(a.batch) * s.length, rows = s.rows;
  VBL_REQUIRE(rows >= 1 && rows <= most, "%s: %s.rows must lie in 1 .. %lld, found %lld", op, name, most, rows);
  return VBL_OK;
}

// The same of keys that lie in pages, and of their table.
vbl_status check_pages(const char *op, const vbl_attention &a) {
  const long long held = static_cast<long long>(a.blocks) * a.page_rows, rows = a.keys.rows;
  VBL_REQUIRE(a.keys.length >= 1, "%s: keys.length must be positive, found %d", op, a.keys.length);
  VBL_REQUIRE(a.blocks >= 1 && held >= a.keys.length,
              "%s: blocks of page_rows = %d must hold keys.length = %d keys, found %d", op, a.page_rows, a.keys.length,
              a.blocks);
  VBL_REQUIRE(rows >= 1 && rows % a.page_rows == 0,
              "%s: keys.rows must be a positive multiple of page_rows = %d, found %lld", op, a.page_rows, rows);
  const int64_t elements = INT64_MAX / static_cast<int64_t>(sizeof(float)) / rows / a.kv_heads;
  VBL_REQUIRE(a.head_dim <= elements, "%s: %lld rows of keys with %d heads of %d are too large", op, rows, a.kv_heads,
              a.head_dim);
  return VBL_OK;
}

// Checks what stands in the shape, and sets the leading dimensions that it leaves out.
vbl_status check(const char *op, const vbl_attention *attention, vbl_attention &a) {
  VBL_REQUIRE_NOT_NULL_OF(op, attention);
  a = *attention;
  const struct {
    const char *name;
    int32_t value;
  } sizes[] = {{"batch", a.batch}, {"heads", a.heads}, {"kv_heads", a.kv_heads}, {"head_dim", a.head_dim}};
  for (const auto &size : sizes)
    VBL_REQUIRE(size.value >= 1, "%s: %s must be positive, found %d", op, size.name, size.value);
  VBL_REQUIRE(a.heads % a.kv_heads == 0, "%s: heads must be a multiple of kv_heads, found %d and %d", op, a.heads,
              a.kv_heads);
  VBL_TRY(check_rows(op, "queries", a, a.queries, a.heads));
  VBL_REQUIRE(a.page_rows >= 0, "%s: page_rows must not be negative, found %d", op, a.page_rows);
  if (a.page_rows != 0)
    VBL_TRY(check_pages(op, a));
  else if (a.keys.rows != 0)
    VBL_TRY(check_rows(op, "keys", a, a.keys, a.kv_heads));
  VBL_REQUIRE(a.causal == 0 || a.causal == 1, "%s: causal must be 0 or 1, found %d", op, a.causal);
  VBL_REQUIRE(std::isfinite(a.scale), "%s: scale must be finite, found %g", op, static_cast<double>(a.scale));
  const int64_t width = int64_t{a.heads} * a.head_dim;
  VBL_TRY(vbl::set_leading(op, "ldq", width, a.ldq));
  VBL_TRY(vbl::set_leading(op, "ldkv", int64_t{a.kv_heads} * a.head_dim, a.ldkv));
  VBL_TRY(vbl::set_leading(op, "ldout", width, a.ldout));
  return vbl::check_cpu_dtype(op, a.dtype);
}

// Sequences as they lie in memory.
struct Rows {
  explicit Rows(const vbl_sequences &sequences) : s(sequences) {}
  int64_t first(int64_t b) const { return s.starts != nullptr ? s.starts[b] : b * s.length; }
  int64_t count(int64_t b) const { return first(b + 1) - first(b); }
  int64_t tokens(int64_t b) const { return s.lengths != nullptr ? s.lengths[b] : count(b); }
  const vbl_sequences &s;
};

vbl_status check_sequences(const char *op, const char *name, int32_t batch, const vbl_sequences &s) {
  const long long most = static_cast<long long>(batch) * s.length, rows = s.rows;
  VBL_REQUIRE(s.starts != nullptr || rows == most,
              "%s: without starts, %s.rows must be batch · length = %lld, found %lld", op, name, most, rows);
  if (s.starts != nullptr) VBL_TRY(vbl::check_starts(op, batch, s.length, s.rows, s.starts));
  for (int32_t b = 0; s.lengths != nullptr && b < batch; ++b)
    VBL_REQUIRE(s.lengths[b] >= 0 && s.lengths[b] <= Rows(s).count(b),
                "%s: %s.lengths[%d] must lie in 0 .. %lld, found %d", op, name, b,
                static_cast<long long>(Rows(s).count(b)), s.lengths[b]);
  return VBL_OK;
}

// The lengths and pages of keys that lie in pages.
vbl_status check_block_table(const char *op, const vbl_attention &a) {
  VBL_REQUIRE(a.keys.starts == nullptr, "%s: keys.starts must be NULL where keys lie in pages", op);
  VBL_REQUIRE(a.keys.lengths != nullptr, "%s: keys.lengths must not be NULL where keys lie in pages", op);
  VBL_REQUIRE(a.block_table != nullptr, "%s: block_table must not be NULL where keys lie in pages", op);
  const long long pages = a.keys.rows / a.page_rows;
  for (int32_t b = 0; b < a.batch; ++b) {
    const int32_t keys = a.keys.lengths[b];
    VBL_REQUIRE(keys >= 0 && keys <= a.keys.length, "%s: keys.lengths[%d] must lie in 0 .. %d, found %d", op, b,
                a.keys.length, keys);
    for (int64_t i = 0; i * a.page_rows < keys; ++i) {
      const int32_t page = a.block_table[b * int64_t{a.blocks} + i];
      VBL_REQUIRE(page >= 0 && page < pages, "%s: block_table[%d][%lld] must lie in 0 .. %lld, found %d", op, b,
                  static_cast<long long>(i), pages - 1, page);
    }
  }
  return VBL_OK;
}

// Checks what stands in memory of the device.
vbl_status check_lengths(const char *op, const vbl_attention &a) {
  VBL_TRY(check_sequences(op, "queries", a.batch, a.queries));
  if (a.keys.rows == 0) return VBL_OK;
  VBL_TRY(a.page_rows != 0 ? check_block_table(op, a) : check_sequences(op, "keys", a.batch, a.keys));
  for (int32_t b = 0; b < a.batch; ++b) {
    const long long queries = Rows(a.queries).tokens(b), keys = Rows(a.keys).tokens(b);
    const long long least = a.causal == 1 ? queries : queries > 0 ? 1 : 0;
    VBL_REQUIRE(keys >= least, "%s: sequence %d has %lld keys, its %lld queries need at least %lld", op, b, keys,
                queries, least);
  }
  return VBL_OK;
}

// Where a batch's heads lie.
struct Layout {
  explicit Layout(const vbl_attention &attention)
      : a(attention), queries(a.queries), keys(keys_of(a)), group(a.heads / a.kv_heads),
        kv_width(int64_t{a.kv_heads} * a.head_dim), kv_elements(keys.s.rows * kv_width),
        whole_tasks(int64_t{a.batch} * a.kv_heads),
        parts(std::min<int64_t>(group, (kBackwardTasks + whole_tasks - 1) / whole_tasks)) {}

  int64_t q(int64_t b, int64_t head) const { return queries.first(b) * a.ldq + head * a.head_dim; }
  int64_t out(int64_t b, int64_t head) const { return queries.first(b) * a.ldout + head * a.head_dim; }
  // Of the sequence's first key, or of all pages.
  int64_t kv(int64_t b, int64_t kv_head) const {
    return (a.page_rows != 0 ? 0 : keys.first(b) * a.ldkv) + kv_head * a.head_dim;
  }
  // In scratch memory, without padding between rows.
  int64_t part_kv(int64_t b, int64_t kv_head) const { return keys.first(b) * kv_width + kv_head * a.head_dim; }
  int64_t lse(int64_t b, int64_t head) const { return head * queries.s.rows + queries.first(b); }
  vbl::AttentionHead head(int64_t b) const {
    const int32_t *pages = a.page_rows != 0 ? a.block_table + b * a.blocks : nullptr;
    return {queries.tokens(b), keys.tokens(b), a.head_dim, a.ldq,      a.ldkv, a.ldout, a.ldkv,
            a.causal == 1,     a.scale,        pages,      a.page_rows};
  }

  const vbl_attention &a;
  const Rows queries, keys;
  int64_t group, kv_width, kv_elements;
  // In the backward pass a key/value head of a sequence is a task, or where that gives too few tasks, a part of its
  // query heads is. All parts but the first sum dk and dv in scratch memory.
  int64_t whole_tasks, parts;
};

vbl::AttentionScratch lay_out_worker(vbl::Scratch &scratch, int64_t head_dim, bool paged) {
  constexpr int64_t queries = kAttentionQueries, multiple = kAttentionAlignment;
  vbl::AttentionScratch s;
  for (float **transposed : {&s.qt, &s.outt, &s.dqt}) *transposed = scratch.take<float>(head_dim, queries);
  for (float **scores : {&s.scores, &s.dscores}) *scores = scratch.take<float>(kAttentionKeys, queries);
  s.columns = (head_dim + multiple - 1) / multiple * multiple;
  for (float **rows : {&s.q_rows, &s.dout_rows}) *rows = scratch.take<float>(queries, s.columns);
  for (float **rows : {&s.k_rows, &s.v_rows}) *rows = scratch.take<float>(paged ? kAttentionKeys : 0, head_dim);
  return s;
}

struct Buffers {
  char *workers;  // [threads, worker_bytes]
  int64_t worker_bytes, head_dim;
  bool paged;
  float *dk, *dv;  // [parts - 1, rows of keys, kv_heads · head_dim]

  vbl::AttentionScratch worker(int32_t number) const {
    vbl::Scratch memory(workers + number * worker_bytes);
    return lay_out_worker(memory, head_dim, paged);
  }
};

Buffers lay_out(vbl::Scratch &scratch, int32_t threads, const Layout &layout) {
  Buffers b;
  b.paged = layout.a.page_rows != 0;
  vbl::Scratch one;
  lay_out_worker(one, layout.a.head_dim, b.paged);
  b.worker_bytes = one.bytes();
  b.head_dim = layout.a.head_dim;
  b.workers = scratch.take<char>(threads, b.worker_bytes);
  const int64_t parts = b.paged ? 0 : layout.parts - 1;  // keys in pages have no backward pass
  for (float **gradient : {&b.dk, &b.dv}) *gradient = scratch.take<float>(parts, layout.kv_elements);
  return b;
}

// Checks the scratch memory of a pass, and the lengths of its sequences.
vbl_status check_memory(const char *op, const vbl_stream *stream, const vbl_attention &attention, const void *scratch,
                        int64_t scratch_bytes) {
  VBL_TRY(vbl::check_scratch(op, scratch, scratch_bytes, vbl_attention_scratch_bytes(stream, &attention)));
  return check_lengths(op, attention);
}

// What a pass over checked arguments works with.
struct Pass {
  Pass(const vbl_stream *stream, const vbl_attention &attention, void *scratch) : layout(attention) {
    vbl::Scratch memory(scratch);
    buffers = lay_out(memory, stream->team->threads(), layout);
  }
  Pass(const Pass &) = delete;

  const Layout layout;
  Buffers buffers;
};

// Zero in rows begin .. end - 1 of a head.
void clear(int64_t begin, int64_t end, int64_t stride, int64_t head_dim, float *x) {
  for (int64_t t = begin; t < end; ++t) std::fill_n(x + t * stride, head_dim, 0.0f);
}

}  // namespace

extern "C" int64_t vbl_attention_scratch_bytes(const vbl_stream *stream, const vbl_attention *attention) {
  vbl_attention a;
  const auto checked = [&]() -> vbl_status {
    VBL_REQUIRE_NOT_NULL_OF("vbl_attention_scratch_bytes", stream);
    return check("vbl_attention_scratch_bytes", attention, a);
  };
  const vbl_status status = checked();
  if (status != VBL_OK) return status == VBL_UNSUPPORTED ? -VBL_UNSUPPORTED : -1;
  vbl::Scratch scratch;
  lay_out(scratch, vbl_stream_threads(stream), Layout(a));
  return scratch.bytes();
}

extern "C" vbl_status vbl_attention_forward(vbl_stream *stream, const vbl_attention *attention, const void *q,
                                            const void *k, const void *v, void *out, float *lse, void *scratch,
                                            int64_t scratch_bytes) {
  VBL_REQUIRE_CPU(stream);
  vbl_attention a;
  VBL_TRY(check(__func__, attention, a));
  VBL_REQUIRE_NOT_NULL(q, k, v, out, lse);
  VBL_TRY(check_memory(__func__, stream, a, scratch, scratch_bytes));
  const Pass pass(stream, a, scratch);
  const Layout &layout = pass.layout;
  const Buffers &buffers = pass.buffers;
  constexpr int64_t tile = kAttentionQueries;
  const int64_t length = a.queries.length, tiles = (length + tile - 1) / tile;
  const int64_t scores = std::min<int64_t>(tile, length) * layout.keys.s.length;
  const int64_t grain = vbl::rows_per_task(scores * a.head_dim, kTaskScores);
  vbl::parallel_for(stream, int64_t{a.batch} * a.heads * tiles, grain, [&](int64_t from, int64_t to, int32_t worker) {
    const vbl::AttentionScratch work = buffers.worker(worker);
    for (int64_t i = from; i < to; ++i) {
      const int64_t b = i / tiles / a.heads, h = i / tiles % a.heads, kv = layout.kv(b, h / layout.group);
      const int64_t begin = i % tiles * tile, end = std::min(begin + tile, layout.queries.count(b));
      if (begin >= end) continue;
      const vbl::AttentionHead head = layout.head(b);
      float *head_out = vbl::floats(out) + layout.out(b, h), *head_lse = lse + layout.lse(b, h);
      const int64_t padding = std::clamp(head.queries, begin, end);
      if (begin < padding)
        VBL_SIMD(attention_forward)(head, begin, vbl::floats(q) + layout.q(b, h), vbl::floats(k) + kv,
                                    vbl::floats(v) + kv, head_out, head_lse, work);
      clear(padding, end, a.ldout, a.head_dim, head_out);
      std::fill(head_lse + padding, head_lse + end, 0.0f);
    }
  });
  return VBL_OK;
}

extern "C" vbl_status vbl_attention_backward(vbl_stream *stream, const vbl_attention *attention, const void *q,
                                             const void *k, const void *v, const void *out, const float *lse,
                                             const void *dout, void *dq, void *dk, void *dv, void *scratch,
                                             int64_t scratch_bytes) {
  VBL_REQUIRE_CPU(stream);
  vbl_attention a;
  VBL_TRY(check(__func__, attention, a));
  if (a.page_rows != 0) return vbl::fail(VBL_UNSUPPORTED, "%s: keys in pages have no backward pass", __func__);
  VBL_REQUIRE_NOT_NULL(q, k, v, out, lse, dout, dq, dk, dv);
  VBL_TRY(check_memory(__func__, stream, a, scratch, scratch_bytes));
  const Pass pass(stream, a, scratch);
  const Layout &layout = pass.layout;
  const Buffers &buffers = pass.buffers;
  const int64_t parts = layout.parts, elements = layout.kv_elements, width = layout.kv_width;
  vbl::parallel_for(stream, layout.whole_tasks * parts, 1, [&](int64_t task, int64_t, int32_t worker) {
    const vbl::AttentionScratch work = buffers.worker(worker);
    const int64_t part = task % parts, kv_head = task / parts % a.kv_heads, b = task / parts / a.kv_heads;
    const int64_t kv = layout.kv(b, kv_head);
    vbl::AttentionHead head = layout.head(b);
    float *part_dk = vbl::floats(dk) + kv, *part_dv = vbl::floats(dv) + kv;
    if (part > 0) {
      head.dkv_stride = layout.kv_width;
      part_dk = buffers.dk + (part - 1) * elements + layout.part_kv(b, kv_head);
      part_dv = buffers.dv + (part - 1) * elements + layout.part_kv(b, kv_head);
    }
    for (float *gradient : {part_dk, part_dv}) clear(0, layout.keys.count(b), head.dkv_stride, a.head_dim, gradient);
    for (int64_t g = part * layout.group / parts; g < (part + 1) * layout.group / parts; ++g) {
      const int64_t h = kv_head * layout.group + g, out_at = layout.out(b, h);
      const float *head_q = vbl::floats(q) + layout.q(b, h);
      float *head_dq = vbl::floats(dq) + layout.q(b, h);
      for (int64_t begin = 0; begin < head.queries; begin += kAttentionQueries)
        VBL_SIMD(attention_backward)(head, begin, head_q, vbl::floats(k) + kv, vbl::floats(v) + kv,
                                     vbl::floats(out) + out_at, lse + layout.lse(b, h), vbl::floats(dout) + out_at,
                                     head_dq, part_dk, part_dv, work);
      clear(head.queries, layout.queries.count(b), a.ldq, a.head_dim, head_dq);
    }
  });
  if (parts > 1)
    vbl::parallel_for(stream, layout.keys.s.rows, vbl::rows_per_task(width, 1 << 14), [&](int64_t begin, int64_t end) {
      for (int64_t part = 0; part < parts - 1; ++part)
        for (int64_t row = begin; row < end; ++row) {
          const float *part_dk = buffers.dk + part * elements + row * width;
          const float *part_dv = buffers.dv + part * elements + row * width;
          for (int64_t c = 0; c < width; ++c) vbl::floats(dk)[row * a.ldkv + c] += part_dk[c];
          for (int64_t c = 0; c < width; ++c) vbl::floats(dv)[row * a.ldkv + c] += part_dv[c];
        }
    });
  return VBL_OK;
}
