#include "admixture/compose.simd.h"

#include "runtime/simd.h"

namespace vbl {
namespace VBL_ISA {

void mix(int64_t n, int32_t topk, const float *bank, int64_t vector_length, const int32_t *indices,
         const float *weights, float *__restrict out) {
  const auto vector = [=](int32_t j) { return bank + indices[j] * vector_length; };
  int64_t i = 0;
  if (topk == 2) {  // the usual one
    const float *first = vector(0), *second = vector(1);
    const vdouble w0 = splat_double(weights[0]), w1 = splat_double(weights[1]);
    const auto sum = [=](int64_t at) { return fma(w1, widen(second + at), w0 * widen(first + at)); };
    for (; i + kLanes <= n; i += kLanes) store(out + i, narrow(sum(i), sum(i + kDoubles)));
  }
  for (; i + kLanes <= n; i += kLanes) {
    const vdouble w0 = splat_double(weights[0]);
    vdouble low = w0 * widen(vector(0) + i), high = w0 * widen(vector(0) + i + kDoubles);
    for (int32_t j = 1; j < topk; ++j) {
      const vdouble weight = splat_double(weights[j]);
      low = fma(weight, widen(vector(j) + i), low);
      high = fma(weight, widen(vector(j) + i + kDoubles), high);
    }
    store(out + i, narrow(low, high));
  }
  for (; i < n; ++i) {
    const auto product = [=](int32_t j) { return static_cast<double>(weights[j]) * static_cast<double>(vector(j)[i]); };
    double sum = product(0);
    for (int32_t j = 1; j < topk; ++j) sum += product(j);
    out[i] = static_cast<float>(sum);
  }
}

}  // namespace VBL_ISA
}  // namespace vbl
