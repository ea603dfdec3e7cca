#include "admixture/compose.h"

namespace vbl {
namespace VBL_ISA {

// Products of two floats are exact in float64, so fusing them changes no bit. Two vectors at a time, so that topk 2,
// the usual one, is a single pass.
void mix(int64_t n, int32_t topk, const float *bank, int64_t vector_length, const int32_t *indices,
         const float *weights, float *__restrict out) {
  const float *__restrict first = bank + indices[0] * vector_length;
  if (topk == 1) {
    for (int64_t i = 0; i < n; ++i) out[i] = weights[0] * first[i];
    return;
  }
  const float *__restrict second = bank + indices[1] * vector_length;
  const double w0 = weights[0], w1 = weights[1];
  if (topk == 2) {
    for (int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(w0 * first[i] + w1 * second[i]);
    return;
  }
  constexpr int64_t kColumns = 512;
  double sum[kColumns];
  for (int64_t column = 0; column < n; column += kColumns) {
    const int64_t columns = n - column < kColumns ? n - column : kColumns;
    for (int64_t i = 0; i < columns; ++i) sum[i] = w0 * first[column + i] + w1 * second[column + i];
    int32_t j = 2;
    for (; j + 1 < topk; j += 2) {
      const float *__restrict x = bank + indices[j] * vector_length + column;
      const float *__restrict y = bank + indices[j + 1] * vector_length + column;
      const double wx = weights[j], wy = weights[j + 1];
      for (int64_t i = 0; i < columns; ++i) sum[i] = sum[i] + wx * x[i] + wy * y[i];
    }
    if (j < topk) {
      const float *__restrict x = bank + indices[j] * vector_length + column;
      const double wx = weights[j];
      for (int64_t i = 0; i < columns; ++i) sum[i] += wx * x[i];
    }
    for (int64_t i = 0; i < columns; ++i) out[column + i] = static_cast<float>(sum[i]);
  }
}

}  // namespace VBL_ISA
}  // namespace vbl
