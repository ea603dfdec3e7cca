#pragma once

#include <cstdint>

#include "runtime/error.h"

namespace vbl {

// Checks starts [batch + 1]: the first row of each sequence of 0 .. length rows and, last, tokens, the number of all.
inline vbl_status check_starts(const char *op, int64_t batch, int64_t length, int64_t tokens, const int32_t *starts) {
  VBL_REQUIRE_NOT_NULL_OF(op, starts);
  VBL_REQUIRE(starts[0] == 0, "%s: starts[0] must be 0, found %d", op, starts[0]);
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t rows = int64_t{starts[b + 1]} - starts[b];
    VBL_REQUIRE(rows >= 0 && rows <= length, "%s: starts[%lld] must lie 0 .. %lld behind starts[%lld], found %d and %d",
                op, static_cast<long long>(b + 1), static_cast<long long>(length), static_cast<long long>(b),
                starts[b + 1], starts[b]);
  }
  VBL_REQUIRE(starts[batch] == tokens, "%s: starts[%lld] must be the number of tokens, %lld, found %d", op,
              static_cast<long long>(batch), static_cast<long long>(tokens), starts[batch]);
  return VBL_OK;
}

}  // namespace vbl
