// The CUDA side of vbl_compose.
#pragma once
#include <cstdint>

#include "vblora/admixture.h"

namespace vbl {
namespace cuda {
vbl_status compose(vbl_stream *stream, const vbl_admixture &admixture, const float *bank, const int32_t *indices,
                   const float *weights, void *packed, int32_t dtype);
}  // namespace cuda
}  // namespace vbl
