// Search of a short list of indices.
#pragma once
#include <cstdint>

#include "runtime/isa.h"

// Position of value in n indices, -1 if it is not there.
VBL_SIMD_FUNCTION(int64_t, find_index, (int64_t n, const int32_t *index, int32_t value))
