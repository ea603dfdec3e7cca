// LayerNorm (Ba, Kiros, Hinton, arXiv 1607.06450), forward and backward. Floor: x is read and y written once forward, x
// and dy read and dx written once backward; a row stays in cache.
#include <cmath>

#include "transformer/layernorm.simd.h"
#include "transformer/shape.h"
#include "vblora/transformer.h"

extern "C" vbl_status vbl_layernorm_forward(vbl_stream *stream, int32_t dtype, int64_t rows, int64_t hidden, float eps,
                                            const void *x, const float *weight, const float *bias, void *y, float *mean,
                                            float *rstd) {
  VBL_REQUIRE_CPU_DTYPE(stream, dtype);
  VBL_REQUIRE_SIZE(rows, 0);
  VBL_REQUIRE_SIZE(hidden, 1);
  VBL_REQUIRE(eps >= 0 && std::isfinite(eps), "vbl_layernorm_forward: eps must be a number from 0, found %g",
              static_cast<double>(eps));
  if (rows == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(x, weight, bias, y, mean, rstd);
  vbl::parallel_for(stream, rows, vbl::rows_per_task(hidden), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      VBL_SIMD(layernorm_forward)(hidden, eps, vbl::floats(x) + i * hidden, weight, bias, vbl::floats(y) + i * hidden,
                                  mean + i, rstd + i);
  });
  return VBL_OK;
}

extern "C" vbl_status vbl_layernorm_backward(vbl_stream *stream, int32_t dtype, int64_t rows, int64_t hidden,
                                             const void *dy, const void *x, const float *weight, const float *mean,
                                             const float *rstd, void *dx) {
  VBL_REQUIRE_CPU_DTYPE(stream, dtype);
  VBL_REQUIRE_SIZE(rows, 0);
  VBL_REQUIRE_SIZE(hidden, 1);
  if (rows == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(dy, x, weight, mean, rstd, dx);
  vbl::parallel_for(stream, rows, vbl::rows_per_task(hidden), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      VBL_SIMD(layernorm_backward)(hidden, vbl::floats(dy) + i * hidden, vbl::floats(x) + i * hidden, weight, mean[i],
                                   rstd[i], vbl::floats(dx) + i * hidden);
  });
  return VBL_OK;
}
