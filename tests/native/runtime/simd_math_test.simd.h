#pragma once
#include <cstdint>

#include "runtime/isa.h"

VBL_SIMD_FUNCTION(void, exp_all, (int64_t n, const float *x, float *y))
