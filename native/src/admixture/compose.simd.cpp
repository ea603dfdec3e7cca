#include "admixture/compose.h"

namespace vbl {
namespace VBL_ISA {

// Two vectors at a time, so that topk 2, the usual one, is a single pass.
void mix(int64_t n, int32_t topk, const float *bank, int64_t vector_length, const int32_t *indices, const float *weights,
         float *__restrict out) {
  const float *__restrict first = bank + indices[0] * vector_length;
  if (topk == 1) {
    for (int64_t i = 0; i < n; ++i) out[i] = weights[0] * first[i];
    return;
  }
  {
    const float *__restrict second = bank + indices[1] * vector_length;
    const float w0 = weights[0], w1 = weights[1];
    for (int64_t i = 0; i < n; ++i) out[i] = w0 * first[i] + w1 * second[i];
  }
  int32_t j = 2;
  for (; j + 1 < topk; j += 2) {
    const float *__restrict x = bank + indices[j] * vector_length, *__restrict y = bank + indices[j + 1] * vector_length;
    const float wx = weights[j], wy = weights[j + 1];
    for (int64_t i = 0; i < n; ++i) out[i] = out[i] + wx * x[i] + wy * y[i];
  }
  if (j < topk) {
    const float *__restrict x = bank + indices[j] * vector_length;
    const float wx = weights[j];
    for (int64_t i = 0; i < n; ++i) out[i] = out[i] + wx * x[i];
  }
}

}  // namespace VBL_ISA
}  // namespace vbl
