// Pooling of a sequence's tokens to one row, forward and backward. Floor: what is pooled is read, or written, once.
#include <algorithm>

#include "transformer/column_sums.h"
#include "transformer/shape.h"
#include "vblora/transformer.h"

namespace {

vbl_status check(const char *op, int32_t pooling, int64_t batch, int64_t length, int64_t hidden,
                 const int32_t *lengths) {
  VBL_REQUIRE(pooling == VBL_POOL_CLS || pooling == VBL_POOL_MEAN, "%s: unknown pooling %d", op, pooling);
  VBL_REQUIRE(batch >= 0, "%s: batch must not be negative, found %lld", op, static_cast<long long>(batch));
  VBL_REQUIRE(length >= 1, "%s: length must be at least 1, found %lld", op, static_cast<long long>(length));
  VBL_REQUIRE(hidden >= 1, "%s: hidden must be at least 1, found %lld", op, static_cast<long long>(hidden));
  for (int64_t b = 0; lengths != nullptr && b < batch; ++b)
    VBL_REQUIRE(lengths[b] >= 1 && lengths[b] <= length, "%s: lengths[%lld] must lie in 1 .. %lld, found %d", op,
                static_cast<long long>(b), static_cast<long long>(length), lengths[b]);
  return VBL_OK;
}

// Tokens of sequence b that are pooled: its first ones.
int64_t pooled(int32_t pooling, const int32_t *lengths, int64_t length, int64_t b) {
  if (pooling == VBL_POOL_CLS) return 1;
  return lengths != nullptr ? lengths[b] : length;
}

}  // namespace

extern "C" vbl_status vbl_pool_forward(vbl_stream *stream, int32_t pooling, int64_t batch, int64_t length,
                                       int64_t hidden, const int32_t *lengths, const float *x, float *out) {
  VBL_REQUIRE_CPU(stream);
  VBL_TRY(check(__func__, pooling, batch, length, hidden, lengths));
  if (batch == 0) return VBL_OK;
  VBL_REQUIRE_POINTER(x);
  VBL_REQUIRE_POINTER(out);
  vbl::parallel_for(stream, batch, vbl::rows_per_task(length * hidden), [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t tokens = pooled(pooling, lengths, length, b);
      const double each = 1 / static_cast<double>(tokens);
      for (int64_t c = 0; c < hidden; c += vbl::kSummedColumns) {
        const int64_t columns = std::min(vbl::kSummedColumns, hidden - c);
        double sums[vbl::kSummedColumns];
        vbl::column_sums(tokens, columns, hidden, x + b * length * hidden + c, sums);
        for (int64_t i = 0; i < columns; ++i) out[b * hidden + c + i] = static_cast<float>(sums[i] * each);
      }
    }
  });
  return VBL_OK;
}

extern "C" vbl_status vbl_pool_backward(vbl_stream *stream, int32_t pooling, int64_t batch, int64_t length,
                                        int64_t hidden, const int32_t *lengths, const float *dout, float *dx) {
  VBL_REQUIRE_CPU(stream);
  VBL_TRY(check(__func__, pooling, batch, length, hidden, lengths));
  if (batch == 0) return VBL_OK;
  VBL_REQUIRE_POINTER(dout);
  VBL_REQUIRE_POINTER(dx);
  vbl::parallel_for(stream, batch, vbl::rows_per_task(length * hidden), [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t tokens = pooled(pooling, lengths, length, b);
      const float each = 1 / static_cast<float>(tokens);
      const float *from = dout + b * hidden;
      float *to = dx + b * length * hidden;
      for (int64_t t = 0; t < tokens; ++t)
        for (int64_t c = 0; c < hidden; ++c) to[t * hidden + c] = from[c] * each;
      std::fill(to + tokens * hidden, to + length * hidden, 0.0f);
    }
  });
  return VBL_OK;
}
