// Activations, forward and backward. Floor: x is read and y written once; x and dy are read and dx written once.
#include "transformer/activation.simd.h"
#include "transformer/shape.h"
#include "vblora/transformer.h"

namespace {

vbl_status check(const char *op, int32_t activation, int64_t n) {
  VBL_REQUIRE(activation >= VBL_GELU && activation <= VBL_TANH, "%s: unknown activation %d", op, activation);
  VBL_REQUIRE(n >= 0, "%s: n must not be negative, found %lld", op, static_cast<long long>(n));
  return VBL_OK;
}

}  // namespace

extern "C" vbl_status vbl_activation_forward(vbl_stream *stream, int32_t dtype, int32_t activation, int64_t n,
                                             const void *x, void *y) {
  VBL_REQUIRE_CPU_DTYPE(stream, dtype);
  VBL_TRY(check(__func__, activation, n));
  if (n == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(x, y);
  vbl::parallel_for(stream, n, vbl::rows_per_task(1), [&](int64_t begin, int64_t end) {
    VBL_SIMD(activation_forward)(activation, end - begin, vbl::floats(x) + begin, vbl::floats(y) + begin);
  });
  return VBL_OK;
}

extern "C" vbl_status vbl_activation_backward(vbl_stream *stream, int32_t dtype, int32_t activation, int64_t n,
                                              const void *x, const void *dy, void *dx) {
  VBL_REQUIRE_CPU_DTYPE(stream, dtype);
  VBL_TRY(check(__func__, activation, n));
  if (n == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(x, dy, dx);
  vbl::parallel_for(stream, n, vbl::rows_per_task(1), [&](int64_t begin, int64_t end) {
    VBL_SIMD(activation_backward)(activation, end - begin, vbl::floats(x) + begin, vbl::floats(dy) + begin,
                                  vbl::floats(dx) + begin);
  });
  return VBL_OK;
}
