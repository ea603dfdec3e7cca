#include "cases.h"

#include <algorithm>

namespace bench {

std::string Cases::overrun() {
  std::string first;
  for (const auto &[name, memory] : memory_) {
    if (!memory->mend_guards() && first.empty()) first = name;
  }
  return first;
}

const char *name_of(int32_t dtype) {
  return dtype == VBL_FLOAT32 ? "float32" : dtype == VBL_BFLOAT16 ? "bfloat16" : "float16";
}

void fill_normal(Array<float> &array, Random &random, float scale) {
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> block(static_cast<size_t>(std::min<int64_t>(array.size(), (1 << 20) - 3)));
  for (float &x : block) x = normal(random);
  for (int64_t at = 0; at < array.size(); at += static_cast<int64_t>(block.size())) {
    block.resize(static_cast<size_t>(std::min<int64_t>(array.size() - at, static_cast<int64_t>(block.size()))));
    array.set(block, at);
  }
}

}  // namespace bench
