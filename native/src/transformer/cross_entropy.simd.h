#pragma once
#include <cstdint>

#include "runtime/isa.h"

// The greatest of a row, and the sum over exp(z - greatest); the exponentials themselves to e, unless that is NULL.
// e may be z.
VBL_SIMD_FUNCTION(void, softmax_sum, (int64_t n, const float *z, float *e, float *greatest, double *sum))
