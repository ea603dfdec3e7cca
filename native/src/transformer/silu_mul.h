// The gated activation silu(gate) · up, forward and backward.
#pragma once
#include <cstdint>

#include "vblora/transformer.h"

namespace vbl {
namespace cuda {

// The CUDA side. Arguments have been checked, leading dimensions are set, and there is an element.
vbl_status silu_mul_forward(vbl_stream *stream, int32_t dtype, int64_t rows, int64_t columns, const void *gate,
                            const void *up, int64_t ldg, void *out, int64_t ldout);
vbl_status silu_mul_backward(vbl_stream *stream, int32_t dtype, int64_t rows, int64_t columns, const void *gate,
                             const void *up, int64_t ldg, const void *dout, int64_t lddout, void *dgate, void *dup,
                             int64_t lddg);

}  // namespace cuda
}  // namespace vbl
