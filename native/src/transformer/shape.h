// Checks that the ops of this folder share.
#pragma once
#include <cstdint>

#include "runtime/stream.h"

namespace vbl {

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
