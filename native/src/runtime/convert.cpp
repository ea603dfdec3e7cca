#include "runtime/convert.h"

#include <cstring>

#include "runtime/convert.simd.h"
#include "runtime/stream.h"

namespace vbl {

void widen(int64_t n, const void *source, int32_t dtype, float *destination) {
  switch (dtype) {
    case VBL_BFLOAT16:
      VBL_SIMD(widen_bfloat16)(n, static_cast<const uint16_t *>(source), destination);
      break;
    case VBL_FLOAT16:
      VBL_SIMD(widen_float16)(n, static_cast<const uint16_t *>(source), destination);
      break;
    default:
      std::memcpy(destination, source, static_cast<size_t>(n) * sizeof(float));
  }
}

void narrow(int64_t n, const float *source, void *destination, int32_t dtype) {
  switch (dtype) {
    case VBL_BFLOAT16:
      VBL_SIMD(narrow_bfloat16)(n, source, static_cast<uint16_t *>(destination));
      break;
    case VBL_FLOAT16:
      VBL_SIMD(narrow_float16)(n, source, static_cast<uint16_t *>(destination));
      break;
    default:
      std::memcpy(destination, source, static_cast<size_t>(n) * sizeof(float));
  }
}

}  // namespace vbl

extern "C" vbl_status vbl_convert(vbl_stream *stream, int64_t n, const void *source, int32_t source_dtype,
                                  void *destination, int32_t destination_dtype) {
  VBL_REQUIRE_NOT_NULL(stream);
  VBL_REQUIRE(n >= 0, "vbl_convert: n must not be negative, found %lld", static_cast<long long>(n));
  VBL_REQUIRE(source_dtype >= VBL_FLOAT32 && source_dtype <= VBL_FLOAT16, "vbl_convert: unknown source_dtype %d",
              source_dtype);
  VBL_REQUIRE(destination_dtype >= VBL_FLOAT32 && destination_dtype <= VBL_FLOAT16,
              "vbl_convert: unknown destination_dtype %d", destination_dtype);
  if (n == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(source, destination);
  VBL_ON_CUDA(stream, vbl::cuda::convert(stream, n, source, source_dtype, destination, destination_dtype));
  const char *from = static_cast<const char *>(source);
  char *to = static_cast<char *>(destination);
  const int64_t from_bytes = vbl::dtype_bytes(source_dtype), to_bytes = vbl::dtype_bytes(destination_dtype);
  vbl::parallel_for(stream, n, 1 << 18, [&](int64_t begin, int64_t end) {
    float buffer[1024];
    for (int64_t i = begin; i < end; i += 1024) {
      const int64_t piece = end - i < 1024 ? end - i : 1024;
      if (source_dtype == destination_dtype) {
        std::memcpy(to + i * to_bytes, from + i * from_bytes, static_cast<size_t>(piece * to_bytes));
      } else if (destination_dtype == VBL_FLOAT32) {
        vbl::widen(piece, from + i * from_bytes, source_dtype, reinterpret_cast<float *>(to + i * to_bytes));
      } else {
        vbl::widen(piece, from + i * from_bytes, source_dtype, buffer);
        vbl::narrow(piece, buffer, to + i * to_bytes, destination_dtype);
      }
    }
  });
  return VBL_OK;
}
