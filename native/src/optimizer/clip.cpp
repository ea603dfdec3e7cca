#include <cmath>

#include "optimizer/sum_squares.h"
#include "runtime/stream.h"

extern "C" vbl_status vbl_clip(vbl_stream *stream, const double *sum, float max_norm, vbl_step *step) {
  VBL_REQUIRE_NOT_NULL(stream, sum, step);
  VBL_REQUIRE(max_norm >= 0, "%s: max_norm must not be negative or NaN, found %g", __func__,
              static_cast<double>(max_norm));
  VBL_ON_CUDA(stream, vbl::cuda::clip(stream, sum, max_norm, step));
  step->gradient_norm = static_cast<float>(std::sqrt(*sum) * step->gradient_scale);
  // Not std::min: a norm that is NaN must make the factor NaN, as in PyTorch.
  const float factor = max_norm / (step->gradient_norm + 1e-6f);
  step->clip_factor = max_norm == 0 || factor > 1 ? 1 : factor;
  return VBL_OK;
}
