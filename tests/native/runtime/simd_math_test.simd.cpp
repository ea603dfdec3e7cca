#include "runtime/simd_math_test.simd.h"

#include "runtime/simd_math.h"

namespace vbl {
namespace VBL_ISA {

void exp_all(int64_t n, const float *x, float *y) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const int64_t left = n - i;
    if (left >= kLanes)
      store(y + i, exp(load(x + i)));
    else
      store(y + i, exp(load(x + i, left)), left);
  }
}

}  // namespace VBL_ISA
}  // namespace vbl
