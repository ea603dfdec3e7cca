// The gradient of a norm's weight. Floor: dy and x are read once. Cut along the columns, whose sums one task makes from
// the first row to the last: the same bits whatever the number of threads.
#include "transformer/column_sums.h"
#include "transformer/norm_weight.simd.h"
#include "transformer/shape.h"
#include "vblora/transformer.h"

extern "C" vbl_status vbl_norm_weight_backward(vbl_stream *stream, int32_t dtype, int64_t rows, int64_t hidden,
                                               const void *dy, const void *x, const float *mean, const float *rstd,
                                               float *dweight) {
  VBL_REQUIRE_CPU_DTYPE(stream, dtype);
  VBL_REQUIRE_SIZE(rows, 0);
  VBL_REQUIRE_SIZE(hidden, 1);
  if (rows == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(dy, x, rstd, dweight);
  vbl::parallel_for(stream, hidden, vbl::kSummedColumns, [&](int64_t begin, int64_t end) {
    double sums[vbl::kSummedColumns];
    VBL_SIMD(norm_weight_sums)(rows, end - begin, hidden, vbl::floats(dy) + begin, vbl::floats(x) + begin, mean, rstd,
                               sums);
    for (int64_t c = begin; c < end; ++c)
      dweight[c] = static_cast<float>(static_cast<double>(dweight[c]) + sums[c - begin]);
  });
  return VBL_OK;
}
