// Checks that the ops of this folder share.
#pragma once
#include <cstdint>

#include "runtime/stream.h"

namespace vbl {

// The type of an op's activations on the CPU, where there is but one.
inline vbl_status check_cpu_dtype(const char *op, int32_t dtype) {
  VBL_REQUIRE(dtype >= VBL_FLOAT32 && dtype <= VBL_FLOAT16, "%s: unknown dtype %d", op, dtype);
  if (dtype != VBL_FLOAT32)
    return fail(VBL_UNSUPPORTED, "%s: on the CPU dtype must be float32 (%d), found %d", op, VBL_FLOAT32, dtype);
  return VBL_OK;
}

// The same on any device.
inline vbl_status check_dtype(const char *op, const vbl_stream *stream, int32_t dtype) {
  if (stream->device == VBL_DEVICE_CPU) return check_cpu_dtype(op, dtype);
  VBL_REQUIRE(dtype >= VBL_FLOAT32 && dtype <= VBL_FLOAT16, "%s: unknown dtype %d", op, dtype);
  return VBL_OK;
}

// Activations of a checked type.
inline const float *floats(const void *x) { return static_cast<const float *>(x); }
inline float *floats(void *x) { return static_cast<float *>(x); }

// Puts the number of columns in the place of a leading dimension of 0, and refuses one that is less.
inline vbl_status set_leading(const char *op, const char *name, int64_t columns, int64_t &ld) {
  if (ld == 0) ld = columns;
  VBL_REQUIRE(ld >= columns, "%s: %s must be 0 or at least %lld, found %lld", op, name, static_cast<long long>(columns),
              static_cast<long long>(ld));
  return VBL_OK;
}

// Calls body(row, column, n) for n neighbouring elements, so that all of a matrix is gone through. Where nothing lies
// between rows (dense), it is one row.
template <typename Body>
void for_each_run(vbl_stream *stream, int64_t rows, int64_t columns, bool dense, const Body &body) {
  if (dense)
    parallel_for(stream, rows * columns, rows_per_task(1),
                 [&](int64_t begin, int64_t end) { body(0, begin, end - begin); });
  else
    parallel_for(stream, rows, rows_per_task(columns), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) body(row, 0, columns);
    });
}

// values[i] must lie in [0, end), or be `other`.
inline vbl_status check_range(const char *op, const char *name, int64_t n, const int32_t *values, int64_t end,
                              int64_t other = 0) {
  for (int64_t i = 0; i < n; ++i)
    VBL_REQUIRE((values[i] >= 0 && values[i] < end) || values[i] == other,
                "%s: %s[%lld] is %d, it must lie in 0 .. %lld", op, name, static_cast<long long>(i), values[i],
                static_cast<long long>(end - 1));
  return VBL_OK;
}

}  // namespace vbl

// What an op begins with: a stream, and activations of a type that its device has.
#define VBL_REQUIRE_DTYPE(stream, dtype)                  \
  do {                                                    \
    VBL_REQUIRE_NOT_NULL(stream);                         \
    VBL_TRY(::vbl::check_dtype(__func__, stream, dtype)); \
  } while (0)

// The same for an op without a CUDA side.
#define VBL_REQUIRE_CPU_DTYPE(stream, dtype) \
  do {                                       \
    VBL_REQUIRE_CPU(stream);                 \
    VBL_REQUIRE_DTYPE(stream, dtype);        \
  } while (0)

#define VBL_REQUIRE_SIZE(n, least) \
  VBL_REQUIRE((n) >= (least), "%s: " #n " must be at least %d, found %lld", __func__, least, static_cast<long long>(n))
