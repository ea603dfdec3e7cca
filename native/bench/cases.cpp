#include "cases.h"

#include <algorithm>

namespace bench {
namespace {

std::vector<char> bytes_of(const Memory &memory) {
  std::vector<char> bytes(static_cast<size_t>(memory.bytes()));
  memory.read(bytes.data());
  return bytes;
}

}  // namespace

std::string Cases::overrun() {
  std::string first;
  for (const auto &[name, memory] : memory_) {
    if (!memory->mend_guards() && first.empty()) first = name;
  }
  return first;
}

void Cases::run(const char *name, const Op &op, const NamedMemory &inputs, Comparison *comparison,
                vbl_status expected) {
  std::vector<std::vector<char>> before;
  for (const auto &input : inputs) before.push_back(bytes_of(*input.second));
  const vbl_status status = op();
  if (status != expected) require(status, name);
  if (status != expected) comparison->near("status", 0, status, expected, 0);
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::vector<char> after = bytes_of(*inputs[i].second);
    const auto changed = std::mismatch(before[i].begin(), before[i].end(), after.begin()).first;
    if (changed != before[i].end()) comparison->changed(inputs[i].first, changed - before[i].begin());
  }
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
