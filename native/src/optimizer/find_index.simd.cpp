#include "optimizer/find_index.h"

namespace vbl {
namespace VBL_ISA {

int64_t find_index(int64_t n, const int32_t *index, int32_t value) {
  constexpr int64_t kBlock = 32;
  int64_t i = 0;
  for (; i + kBlock <= n; i += kBlock) {
    int any = 0;
    for (int64_t j = 0; j < kBlock; ++j) any |= index[i + j] == value;
    if (any != 0) break;
  }
  for (; i < n; ++i)
    if (index[i] == value) return i;
  return -1;
}

}  // namespace VBL_ISA
}  // namespace vbl
