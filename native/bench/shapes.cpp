#include "shapes.h"

#include <algorithm>

namespace bench {
namespace {

constexpr int32_t kLength = 256, kTopk = 2;

// Linear layers of one shape in a decoder's or encoder's layer.
struct Linears {
  int64_t count, in, out;
};

int64_t rows(int64_t layers, int64_t r, const std::vector<Linears> &linears) {
  int64_t sub_vectors = 0;
  for (const Linears &l : linears) sub_vectors += l.count * (l.in + l.out) / kLength;
  return layers * r * sub_vectors;
}

}  // namespace

std::vector<Shape> shapes(double scale) {
  std::vector<Shape> all = {
      {"roberta-base", rows(12, 4, {{4, 768, 768}, {1, 768, 3072}, {1, 3072, 768}}), 90, kLength, kTopk},
      {"llama-3.2-3b-qv", rows(28, 4, {{1, 3072, 3072}, {1, 3072, 1024}}), 256, kLength, kTopk},
      {"llama-2-7b", rows(32, 4, {{4, 4096, 4096}, {2, 4096, 11008}, {1, 11008, 4096}}), 2048, kLength, kTopk},
      {"llama-2-13b", rows(40, 6, {{4, 5120, 5120}, {2, 5120, 13824}, {1, 13824, 5120}}), 2048, kLength, kTopk},
  };
  if (scale != 1) {
    for (Shape &shape : all) {
      shape.rows = std::max<int64_t>(64, static_cast<int64_t>(static_cast<double>(shape.rows) * scale));
      shape.num_vectors = std::max(32, static_cast<int32_t>(shape.num_vectors * scale));
    }
  }
  return all;
}

}  // namespace bench
