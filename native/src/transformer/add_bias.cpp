// A bias added to every row, and its gradient.
#include "transformer/column_sums.h"
#include "transformer/shape.h"
#include "vblora/transformer.h"

extern "C" vbl_status vbl_add_bias(vbl_stream *stream, int32_t dtype, int64_t rows, int64_t columns, const float *bias,
                                   void *y, int64_t ldy) {
  VBL_REQUIRE_CPU_DTYPE(stream, dtype);
  VBL_REQUIRE_SIZE(rows, 0);
  VBL_REQUIRE_SIZE(columns, 0);
  VBL_TRY(vbl::set_leading(__func__, "ldy", columns, ldy));
  if (rows == 0 || columns == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(bias, y);
  vbl::parallel_for(stream, rows, vbl::rows_per_task(columns), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      for (int64_t j = 0; j < columns; ++j) vbl::floats(y)[i * ldy + j] += bias[j];
  });
  return VBL_OK;
}

extern "C" vbl_status vbl_add_bias_backward(vbl_stream *stream, int32_t dtype, int64_t rows, int64_t columns,
                                            const void *dy, int64_t lddy, float *dbias) {
  VBL_REQUIRE_CPU_DTYPE(stream, dtype);
  VBL_REQUIRE_SIZE(rows, 0);
  VBL_REQUIRE_SIZE(columns, 0);
  VBL_TRY(vbl::set_leading(__func__, "lddy", columns, lddy));
  if (rows == 0 || columns == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(dy, dbias);
  vbl::add_column_sums(stream, rows, columns, lddy, vbl::floats(dy), dbias);
  return VBL_OK;
}
