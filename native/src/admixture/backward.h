// The CUDA side of the admixture's backward pass.
#pragma once
#include <cstdint>

#include "vblora/admixture.h"

namespace vbl {
namespace cuda {
// -1, and the reason as the thread's error message, for a shape too large for it.
int64_t admixture_backward_scratch_bytes(const vbl_admixture &admixture);
vbl_status admixture_backward(vbl_stream *stream, const vbl_admixture &admixture, const float *bank,
                              const int32_t *indices, const float *weights, const float *dpacked, float *dlogits,
                              float *dbank, void *scratch);
}  // namespace cuda
}  // namespace vbl
