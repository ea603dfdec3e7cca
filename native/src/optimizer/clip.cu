// vbl_clip: two numbers of the step, by one thread.
#include "optimizer/sum_squares.h"
#include "runtime/launch.cuh"

namespace vbl {
namespace cuda {
namespace {

VBL_ONE_BLOCK __global__ void __launch_bounds__(kWarp) clip_factor(const double *sum, float max_norm, vbl_step *step) {
  if (threadIdx.x != 0) return;
  const float norm = static_cast<float>(sqrt(*sum) * static_cast<double>(step->gradient_scale));
  const float factor = max_norm / (norm + 1e-6f);  // not a number if the norm is not
  step->gradient_norm = norm;
  step->clip_factor = max_norm == 0 || factor > 1 ? 1 : factor;
}

}  // namespace

vbl_status clip(vbl_stream *stream, const double *sum, float max_norm, vbl_step *step) {
  VBL_CUDA_OP("vbl_clip", stream);
  VBL_LAUNCH(clip_factor, 1, kWarp, 0, handle(stream), sum, max_norm, step);
  return launched("vbl_clip");
}

}  // namespace cuda
}  // namespace vbl
