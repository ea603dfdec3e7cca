#pragma once
#include <cstdint>

#include "runtime/isa.h"

// sums[c] = the sum of dy[r · stride + c] · (x[r · stride + c] - mean[r]) · rstd[r] over r in [0, rows), in float64 and
// from the first row on; mean NULL stands for 0.
VBL_SIMD_FUNCTION(void, norm_weight_sums,
                  (int64_t rows, int64_t columns, int64_t stride, const float *dy, const float *x, const float *mean,
                   const float *rstd, double *sums))
