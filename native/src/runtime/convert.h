// Conversions between float32, bfloat16 and float16, round to nearest even; NaN stays NaN.
#pragma once
#include <cstdint>

#include "vblora/runtime.h"

namespace vbl {

inline int64_t dtype_bytes(int32_t dtype) { return dtype == 0 ? 4 : 2; }

// Widens n elements of a vbl_dtype to float32.
void widen(int64_t n, const void *source, int32_t dtype, float *destination);
// Narrows n float32 elements to a vbl_dtype.
void narrow(int64_t n, const float *source, void *destination, int32_t dtype);

namespace cuda {
vbl_status convert(vbl_stream *stream, int64_t n, const void *source, int32_t source_dtype, void *destination,
                   int32_t destination_dtype);
}  // namespace cuda

}  // namespace vbl
