// Pooling of a sequence's tokens to one row, forward and backward. Floor: what is pooled is read, or written, once.
#include <algorithm>

#include "transformer/column_sums.h"
#include "transformer/shape.h"
#include "transformer/starts.h"
#include "vblora/transformer.h"

namespace {

vbl_status check(const char *op, int32_t pooling, int64_t batch, int64_t tokens, int64_t hidden,
                 const int32_t *starts) {
  VBL_REQUIRE(pooling == VBL_POOL_CLS || pooling == VBL_POOL_MEAN, "%s: unknown pooling %d", op, pooling);
  VBL_REQUIRE(batch >= 0, "%s: batch must not be negative, found %lld", op, static_cast<long long>(batch));
  VBL_REQUIRE(hidden >= 1, "%s: hidden must be at least 1, found %lld", op, static_cast<long long>(hidden));
  return vbl::check_starts(op, batch, INT32_MAX, tokens, starts);
}

// Rows of sequence b that are pooled: its first ones.
int64_t pooled(int32_t pooling, const int32_t *starts, int64_t b) {
  const int64_t rows = int64_t{starts[b + 1]} - starts[b];
  return pooling == VBL_POOL_CLS ? std::min<int64_t>(1, rows) : rows;
}

int64_t sequences_per_task(int64_t batch, int64_t tokens, int64_t hidden) {
  return vbl::rows_per_task((tokens + batch - 1) / batch * hidden);
}

}  // namespace

extern "C" vbl_status vbl_pool_forward(vbl_stream *stream, int32_t dtype, int32_t pooling, int64_t batch,
                                       int64_t tokens, int64_t hidden, const int32_t *starts, const void *x,
                                       void *out) {
  VBL_REQUIRE_CPU_DTYPE(stream, dtype);
  VBL_TRY(check(__func__, pooling, batch, tokens, hidden, starts));
  if (batch == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(x, out);
  vbl::parallel_for(stream, batch, sequences_per_task(batch, tokens, hidden), [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t rows = pooled(pooling, starts, b);
      const double each = 1 / static_cast<double>(std::max<int64_t>(1, rows));
      for (int64_t c = 0; c < hidden; c += vbl::kSummedColumns) {
        const int64_t columns = std::min(vbl::kSummedColumns, hidden - c);
        double sums[vbl::kSummedColumns];
        vbl::column_sums(rows, columns, hidden, vbl::floats(x) + starts[b] * hidden + c, sums);
        for (int64_t i = 0; i < columns; ++i) vbl::floats(out)[b * hidden + c + i] = static_cast<float>(sums[i] * each);
      }
    }
  });
  return VBL_OK;
}

extern "C" vbl_status vbl_pool_backward(vbl_stream *stream, int32_t dtype, int32_t pooling, int64_t batch,
                                        int64_t tokens, int64_t hidden, const int32_t *starts, const void *dout,
                                        void *dx) {
  VBL_REQUIRE_CPU_DTYPE(stream, dtype);
  VBL_TRY(check(__func__, pooling, batch, tokens, hidden, starts));
  if (batch == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(dout, dx);
  vbl::parallel_for(stream, batch, sequences_per_task(batch, tokens, hidden), [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t rows = pooled(pooling, starts, b);
      const float each = 1 / static_cast<float>(std::max<int64_t>(1, rows));
      const float *from = vbl::floats(dout) + b * hidden;
      float *to = vbl::floats(dx) + starts[b] * hidden;
      for (int64_t t = 0; t < rows; ++t)
        for (int64_t c = 0; c < hidden; ++c) to[t * hidden + c] = from[c] * each;
      std::fill(to + rows * hidden, vbl::floats(dx) + starts[b + 1] * hidden, 0.0f);
    }
  });
  return VBL_OK;
}
