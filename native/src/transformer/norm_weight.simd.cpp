#include "transformer/norm_weight.simd.h"

namespace vbl {
namespace VBL_ISA {

void norm_weight_sums(int64_t rows, int64_t columns, int64_t stride, const float *dy, const float *x, const float *mean,
                      const float *rstd, double *sums) {
  for (int64_t c = 0; c < columns; ++c) sums[c] = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const double middle = mean == nullptr ? 0 : static_cast<double>(mean[r]), scale = static_cast<double>(rstd[r]);
    const float *dy_row = dy + r * stride, *x_row = x + r * stride;
#pragma omp simd
    for (int64_t c = 0; c < columns; ++c)
      sums[c] += static_cast<double>(dy_row[c]) * ((static_cast<double>(x_row[c]) - middle) * scale);
  }
}

}  // namespace VBL_ISA
}  // namespace vbl
