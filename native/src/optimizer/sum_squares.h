// The gradient norm's ops on CUDA.
#pragma once
#include <cstdint>

#include "vblora/optimizer.h"

namespace vbl {
namespace cuda {
// Blocks that share the work, each with a partial sum. It must depend on n alone, for the same bits on every device.
inline int64_t sum_squares_blocks(int64_t n) { return n < 1024 * 4096 ? (n + 4095) / 4096 : 1024; }
// vbl_sum_squares on a CUDA stream, n > 0; partial: [sum_squares_blocks(n)].
vbl_status sum_squares(vbl_stream *stream, int64_t n, const float *x, double *sum, double *partial);

// vbl_clip.
vbl_status clip(vbl_stream *stream, const double *sum, float max_norm, vbl_step *step);
}  // namespace cuda
}  // namespace vbl
