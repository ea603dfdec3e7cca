#include "transformer/rmsnorm.simd.h"

namespace vbl {
namespace VBL_ISA {

float rmsnorm_forward(int64_t hidden, float eps, const float *x, const float *weight, float *y) {
  double squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t i = 0; i < hidden; ++i) squares += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  const double mean = squares / static_cast<double>(hidden) + static_cast<double>(eps);
  const float rstd = static_cast<float>(1 / __builtin_sqrt(mean));
#pragma omp simd
  for (int64_t i = 0; i < hidden; ++i) y[i] = x[i] * rstd * weight[i];
  return rstd;
}

// With t = dy · weight: dx += rstd · t - x · rstd³ · mean(t · x).
void rmsnorm_backward(int64_t hidden, const float *dy, const float *x, const float *weight, float rstd, float *dx) {
  double product = 0;
#pragma omp simd reduction(+ : product)
  for (int64_t i = 0; i < hidden; ++i)
    product += static_cast<double>(dy[i]) * static_cast<double>(weight[i]) * static_cast<double>(x[i]);
  const double wide = static_cast<double>(rstd);
  const float along = static_cast<float>(wide * wide * wide * product / static_cast<double>(hidden));
#pragma omp simd
  for (int64_t i = 0; i < hidden; ++i) dx[i] += rstd * (dy[i] * weight[i]) - x[i] * along;
}

}  // namespace VBL_ISA
}  // namespace vbl
