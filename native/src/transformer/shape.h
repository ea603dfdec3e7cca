// Checks and cuts that the ops of this folder share.
#pragma once
#include <cstdint>

#include "runtime/stream.h"

namespace vbl {

// Rows of this many elements that are worth a task of their own.
inline int64_t rows_per_task(int64_t elements) {
  constexpr int64_t task = 32 << 10;
  return elements >= task ? 1 : task / (elements > 0 ? elements : 1);
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

#define VBL_REQUIRE_SIZE(n, least) \
  VBL_REQUIRE((n) >= (least), "%s: " #n " must be at least %d, found %lld", __func__, least, static_cast<long long>(n))

// Scratch memory must be there, large enough and aligned for its elements.
#define VBL_REQUIRE_SCRATCH(scratch, bytes, needed, type) \
  do { \
    const long long vbl_needed = (needed); \
    VBL_REQUIRE((bytes) >= vbl_needed, "%s: scratch has %lld bytes, %lld are needed", __func__, \
                static_cast<long long>(bytes), vbl_needed); \
    VBL_REQUIRE(vbl_needed == 0 || (scratch) != nullptr, "%s: scratch must not be NULL", __func__); \
    VBL_REQUIRE(reinterpret_cast<uintptr_t>(scratch) % alignof(type) == 0, "%s: scratch must be aligned to %zu bytes", \
                __func__, alignof(type)); \
  } while (0)
