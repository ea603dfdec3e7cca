// The gated activation silu(gate) · up, forward and backward.
#include "transformer/shape.h"
#include "transformer/silu_mul.simd.h"
#include "vblora/transformer.h"

extern "C" vbl_status vbl_silu_mul_forward(vbl_stream *stream, int64_t n, const float *gate, const float *up,
                                           float *out) {
  VBL_REQUIRE_CPU(stream);
  VBL_REQUIRE_SIZE(n, 0);
  if (n == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(gate, up, out);
  vbl::parallel_for(stream, n, vbl::rows_per_task(1), [&](int64_t begin, int64_t end) {
    VBL_SIMD(silu_mul_forward)(end - begin, gate + begin, up + begin, out + begin);
  });
  return VBL_OK;
}

extern "C" vbl_status vbl_silu_mul_backward(vbl_stream *stream, int64_t n, const float *gate, const float *up,
                                            const float *dout, float *dgate, float *dup) {
  VBL_REQUIRE_CPU(stream);
  VBL_REQUIRE_SIZE(n, 0);
  if (n == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(gate, up, dout, dgate, dup);
  VBL_REQUIRE(dgate != dup, "vbl_silu_mul_backward: dgate and dup must not be the same");
  vbl::parallel_for(stream, n, vbl::rows_per_task(1), [&](int64_t begin, int64_t end) {
    VBL_SIMD(silu_mul_backward)(end - begin, gate + begin, up + begin, dout + begin, dgate + begin, dup + begin);
  });
  return VBL_OK;
}
