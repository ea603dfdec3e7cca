// A layer's bias and its activation in one pass, forward and backward. Floor: inner is read and, with a bias, written
// once, and activated written once; inner and dactivated are read and dinner written once.
#include "transformer/bias_activation.simd.h"
#include "transformer/column_sums.h"
#include "transformer/shape.h"
#include "vblora/transformer.h"

namespace {

vbl_status check(const char *op, int32_t activation, int64_t rows, int64_t columns) {
  VBL_REQUIRE(activation >= VBL_GELU && activation <= VBL_TANH, "%s: unknown activation %d", op, activation);
  VBL_REQUIRE(rows >= 0, "%s: rows must not be negative, found %lld", op, static_cast<long long>(rows));
  VBL_REQUIRE(columns >= 0, "%s: columns must not be negative, found %lld", op, static_cast<long long>(columns));
  return VBL_OK;
}

// One memory cannot be two matrices in two ways.
vbl_status check_in_place(const char *op, const void *from, int64_t ld_from, const void *to, int64_t ld_to) {
  VBL_REQUIRE(from != to || ld_from == ld_to,
              "%s: in place the leading dimensions must be the same, found %lld and %lld", op,
              static_cast<long long>(ld_from), static_cast<long long>(ld_to));
  return VBL_OK;
}

}  // namespace

extern "C" vbl_status vbl_bias_activation_forward(vbl_stream *stream, int32_t dtype, int32_t activation, int64_t rows,
                                                  int64_t columns, const float *bias, void *inner, int64_t ldi,
                                                  void *activated, int64_t lda) {
  VBL_REQUIRE_CPU_DTYPE(stream, dtype);
  VBL_TRY(check(__func__, activation, rows, columns));
  VBL_TRY(vbl::set_leading(__func__, "ldi", columns, ldi));
  VBL_TRY(vbl::set_leading(__func__, "lda", columns, lda));
  if (rows == 0 || columns == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(inner, activated);
  VBL_TRY(check_in_place(__func__, inner, ldi, activated, lda));
  const bool dense = bias == nullptr && ldi == columns && lda == columns;
  vbl::for_each_run(stream, rows, columns, dense, [&](int64_t row, int64_t column, int64_t n) {
    VBL_SIMD(bias_activation_forward)
    (activation, n, bias, vbl::floats(inner) + row * ldi + column, vbl::floats(activated) + row * lda + column);
  });
  return VBL_OK;
}

extern "C" vbl_status vbl_bias_activation_backward(vbl_stream *stream, int32_t dtype, int32_t activation, int64_t rows,
                                                   int64_t columns, const void *inner, int64_t ldi,
                                                   const void *dactivated, int64_t ldda, void *dinner, int64_t lddi,
                                                   float *dbias) {
  VBL_REQUIRE_CPU_DTYPE(stream, dtype);
  VBL_TRY(check(__func__, activation, rows, columns));
  VBL_TRY(vbl::set_leading(__func__, "ldi", columns, ldi));
  VBL_TRY(vbl::set_leading(__func__, "ldda", columns, ldda));
  VBL_TRY(vbl::set_leading(__func__, "lddi", columns, lddi));
  if (rows == 0 || columns == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(inner, dactivated, dinner);
  VBL_TRY(check_in_place(__func__, inner, ldi, dinner, lddi));
  VBL_TRY(check_in_place(__func__, dactivated, ldda, dinner, lddi));
  const bool dense = ldi == columns && ldda == columns && lddi == columns;
  vbl::for_each_run(stream, rows, columns, dense, [&](int64_t row, int64_t column, int64_t n) {
    VBL_SIMD(activation_backward)
    (activation, n, vbl::floats(inner) + row * ldi + column, vbl::floats(dactivated) + row * ldda + column,
     vbl::floats(dinner) + row * lddi + column);
  });
  if (dbias != nullptr) vbl::add_column_sums(stream, rows, columns, lddi, vbl::floats(dinner), dbias);
  return VBL_OK;
}
