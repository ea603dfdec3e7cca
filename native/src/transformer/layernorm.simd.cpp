#include "transformer/layernorm.simd.h"

namespace vbl {
namespace VBL_ISA {

void layernorm_forward(int64_t hidden, float eps, const float *x, const float *weight, const float *bias, float *y,
                       float *mean, float *rstd) {
  const double n = static_cast<double>(hidden);
  double total = 0;
#pragma omp simd reduction(+ : total)
  for (int64_t i = 0; i < hidden; ++i) total += static_cast<double>(x[i]);
  const double middle = total / n;
  double squares = 0;  // of what is left, so that a large mean takes nothing away
#pragma omp simd reduction(+ : squares)
  for (int64_t i = 0; i < hidden; ++i) {
    const double left = static_cast<double>(x[i]) - middle;
    squares += left * left;
  }
  const float m = static_cast<float>(middle);
  const float r = static_cast<float>(1 / __builtin_sqrt(squares / n + static_cast<double>(eps)));
#pragma omp simd
  for (int64_t i = 0; i < hidden; ++i) y[i] = (x[i] - m) * r * weight[i] + bias[i];
  *mean = m;
  *rstd = r;
}

// With t = dy · weight and z = (x - mean) · rstd: dx = rstd · (t - mean(t) - z · mean(t · z)).
void layernorm_backward(int64_t hidden, const float *dy, const float *x, const float *weight, float mean, float rstd,
                        float *dx) {
  double total = 0, product = 0;
#pragma omp simd reduction(+ : total, product)
  for (int64_t i = 0; i < hidden; ++i) {
    const double t = static_cast<double>(dy[i]) * static_cast<double>(weight[i]);
    total += t;
    product += t * static_cast<double>(x[i] - mean);
  }
  const double n = static_cast<double>(hidden), wide = static_cast<double>(rstd);
  const float middle = static_cast<float>(total / n), along = static_cast<float>(wide * wide * product / n);
#pragma omp simd
  for (int64_t i = 0; i < hidden; ++i) dx[i] = rstd * (dy[i] * weight[i] - middle - (x[i] - mean) * along);
}

}  // namespace VBL_ISA
}  // namespace vbl
