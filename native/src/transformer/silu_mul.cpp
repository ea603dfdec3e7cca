#include "transformer/silu_mul.h"

#include "transformer/shape.h"
#include "transformer/silu_mul.simd.h"
#include "vblora/transformer.h"

extern "C" vbl_status vbl_silu_mul_forward(vbl_stream *stream, int32_t dtype, int64_t rows, int64_t columns,
                                           const void *gate, const void *up, int64_t ldg, void *out, int64_t ldout) {
  VBL_REQUIRE_DTYPE(stream, dtype);
  VBL_REQUIRE_SIZE(rows, 0);
  VBL_REQUIRE_SIZE(columns, 0);
  VBL_TRY(vbl::set_leading(__func__, "ldg", columns, ldg));
  VBL_TRY(vbl::set_leading(__func__, "ldout", columns, ldout));
  if (rows == 0 || columns == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(gate, up, out);
  VBL_ON_CUDA(stream, vbl::cuda::silu_mul_forward(stream, dtype, rows, columns, gate, up, ldg, out, ldout));
  const bool dense = ldg == columns && ldout == columns;
  vbl::for_each_run(stream, rows, columns, dense, [&](int64_t row, int64_t column, int64_t n) {
    const int64_t at = row * ldg + column;
    VBL_SIMD(silu_mul_forward)(n, vbl::floats(gate) + at, vbl::floats(up) + at,
                               vbl::floats(out) + row * ldout + column);
  });
  return VBL_OK;
}

extern "C" vbl_status vbl_silu_mul_backward(vbl_stream *stream, int32_t dtype, int64_t rows, int64_t columns,
                                            const void *gate, const void *up, int64_t ldg, const void *dout,
                                            int64_t lddout, void *dgate, void *dup, int64_t lddg) {
  VBL_REQUIRE_DTYPE(stream, dtype);
  VBL_REQUIRE_SIZE(rows, 0);
  VBL_REQUIRE_SIZE(columns, 0);
  VBL_TRY(vbl::set_leading(__func__, "ldg", columns, ldg));
  VBL_TRY(vbl::set_leading(__func__, "lddout", columns, lddout));
  VBL_TRY(vbl::set_leading(__func__, "lddg", columns, lddg));
  if (rows == 0 || columns == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(gate, up, dout, dgate, dup);
  VBL_REQUIRE(dgate != dup, "vbl_silu_mul_backward: dgate and dup must not be the same");
  VBL_REQUIRE((dout != dgate && dout != dup) || lddout == lddg,
              "vbl_silu_mul_backward: lddout and lddg must be the same where dout is dgate or dup, found %lld and %lld",
              static_cast<long long>(lddout), static_cast<long long>(lddg));
  VBL_ON_CUDA(stream, vbl::cuda::silu_mul_backward(stream, dtype, rows, columns, gate, up, ldg, dout, lddout, dgate,
                                                   dup, lddg));
  const bool dense = ldg == columns && lddout == columns && lddg == columns;
  vbl::for_each_run(stream, rows, columns, dense, [&](int64_t row, int64_t column, int64_t n) {
    const int64_t at = row * ldg + column, to = row * lddg + column;
    VBL_SIMD(silu_mul_backward)(n, vbl::floats(gate) + at, vbl::floats(up) + at,
                                vbl::floats(dout) + row * lddout + column, vbl::floats(dgate) + to,
                                vbl::floats(dup) + to);
  });
  return VBL_OK;
}
