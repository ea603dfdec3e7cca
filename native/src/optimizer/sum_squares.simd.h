// Inner loop of the gradient norm.
#pragma once
#include <cstdint>

#include "runtime/isa.h"

// The sum of x[i]^2 over n elements, in float64 on a fixed set of lanes: the squares are exact, so that every instruction
// set gives the same bits.
VBL_SIMD_FUNCTION(double, sum_squares, (int64_t n, const float *x))
