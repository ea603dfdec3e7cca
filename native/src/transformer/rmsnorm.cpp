// RMSNorm (Zhang, Sennrich, NeurIPS 2019), forward and backward.
#include <cmath>

#include "transformer/rmsnorm.simd.h"
#include "transformer/shape.h"
#include "vblora/transformer.h"

extern "C" vbl_status vbl_rmsnorm_forward(vbl_stream *stream, int32_t dtype, int64_t rows, int64_t hidden, float eps,
                                          const void *x, const float *weight, void *y, float *rstd) {
  VBL_REQUIRE_CPU_DTYPE(stream, dtype);
  VBL_REQUIRE_SIZE(rows, 0);
  VBL_REQUIRE_SIZE(hidden, 1);
  VBL_REQUIRE(eps >= 0 && std::isfinite(eps), "vbl_rmsnorm_forward: eps must be a number from 0, found %g",
              static_cast<double>(eps));
  if (rows == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(x, weight, y, rstd);
  vbl::parallel_for(stream, rows, vbl::rows_per_task(hidden), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      rstd[i] =
          VBL_SIMD(rmsnorm_forward)(hidden, eps, vbl::floats(x) + i * hidden, weight, vbl::floats(y) + i * hidden);
  });
  return VBL_OK;
}

extern "C" vbl_status vbl_rmsnorm_backward(vbl_stream *stream, int32_t dtype, int64_t rows, int64_t hidden,
                                           const void *dy, const void *x, const float *weight, const float *rstd,
                                           void *dx) {
  VBL_REQUIRE_CPU_DTYPE(stream, dtype);
  VBL_REQUIRE_SIZE(rows, 0);
  VBL_REQUIRE_SIZE(hidden, 1);
  if (rows == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(dy, x, weight, rstd, dx);
  vbl::parallel_for(stream, rows, vbl::rows_per_task(hidden), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      VBL_SIMD(rmsnorm_backward)(hidden, vbl::floats(dy) + i * hidden, vbl::floats(x) + i * hidden, weight, rstd[i],
                                 vbl::floats(dx) + i * hidden);
  });
  return VBL_OK;
}
