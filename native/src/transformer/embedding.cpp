// Embedding lookup and its gradient.
#include <algorithm>

#include "runtime/convert.h"
#include "transformer/shape.h"
#include "vblora/transformer.h"

namespace {

vbl_status check(const char *op, int64_t tokens, int64_t hidden, int64_t vocab, const int32_t *ids) {
  VBL_REQUIRE(tokens >= 0, "%s: tokens must not be negative, found %lld", op, static_cast<long long>(tokens));
  VBL_REQUIRE(hidden >= 1, "%s: hidden must be at least 1, found %lld", op, static_cast<long long>(hidden));
  VBL_REQUIRE(vocab >= 1, "%s: vocab must be at least 1, found %lld", op, static_cast<long long>(vocab));
  if (tokens == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL_OF(op, ids);
  return vbl::check_range(op, "ids", tokens, ids, vocab);
}

void add_row(int64_t hidden, const char *row, int32_t dtype, float *out) {
  constexpr int64_t kBlock = 256;
  float wide[kBlock];
  for (int64_t begin = 0; begin < hidden; begin += kBlock) {
    const int64_t n = std::min(kBlock, hidden - begin);
    vbl::widen(n, row + begin * vbl::dtype_bytes(dtype), dtype, wide);
    for (int64_t c = 0; c < n; ++c) out[begin + c] += wide[c];
  }
}

}  // namespace

extern "C" vbl_status vbl_embedding_forward(vbl_stream *stream, int32_t dtype, int64_t tokens, int64_t hidden,
                                            int64_t vocab, const int32_t *ids, const void *table, int32_t table_dtype,
                                            int32_t accumulate, void *out) {
  VBL_REQUIRE_CPU_DTYPE(stream, dtype);
  VBL_TRY(check(__func__, tokens, hidden, vocab, ids));
  VBL_REQUIRE(table_dtype >= VBL_FLOAT32 && table_dtype <= VBL_FLOAT16, "vbl_embedding_forward: unknown table_dtype %d",
              table_dtype);
  VBL_REQUIRE(accumulate == 0 || accumulate == 1, "vbl_embedding_forward: accumulate must be 0 or 1, found %d",
              accumulate);
  if (tokens == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(table, out);
  const char *rows = static_cast<const char *>(table);
  const int64_t row_bytes = hidden * vbl::dtype_bytes(table_dtype);
  vbl::parallel_for(stream, tokens, vbl::rows_per_task(hidden), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const char *row = rows + ids[t] * row_bytes;
      if (accumulate)
        add_row(hidden, row, table_dtype, vbl::floats(out) + t * hidden);
      else
        vbl::widen(hidden, row, table_dtype, vbl::floats(out) + t * hidden);
    }
  });
  return VBL_OK;
}

extern "C" vbl_status vbl_embedding_backward(vbl_stream *stream, int32_t dtype, int64_t tokens, int64_t hidden,
                                             int64_t vocab, const int32_t *ids, const void *dout, float *dtable) {
  VBL_REQUIRE_CPU_DTYPE(stream, dtype);
  VBL_TRY(check(__func__, tokens, hidden, vocab, ids));
  if (tokens == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(dout, dtable);
  // Cut along the columns, so that tokens with the same id are added in order.
  vbl::parallel_for(stream, hidden, vbl::rows_per_task(tokens), [&](int64_t begin, int64_t end) {
    for (int64_t t = 0; t < tokens; ++t) {
      const float *from = vbl::floats(dout) + t * hidden;
      float *to = dtable + ids[t] * hidden;
      for (int64_t c = begin; c < end; ++c) to[c] += from[c];
    }
  });
  return VBL_OK;
}
