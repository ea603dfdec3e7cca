#include "shapes.h"

#include <algorithm>

namespace bench {
namespace {

constexpr int32_t kLength = 256, kTopk = 2, kTokens = 2048;

// Linear layers of one shape in a decoder's or encoder's layer.
struct Linears {
  int64_t count, in, out;
};

int64_t rows(int64_t layers, int64_t r, const std::vector<Linears> &linears) {
  int64_t sub_vectors = 0;
  for (const Linears &l : linears) sub_vectors += l.count * (l.in + l.out) / kLength;
  return layers * r * sub_vectors;
}

Shape model(const char *name, int64_t sub_vectors, int32_t num_vectors, const Layer &layer) {
  return {{sub_vectors, num_vectors, kLength, kTopk}, name, 0, layer};
}

}  // namespace

std::vector<Shape> shapes(double scale) {
  std::vector<Shape> all = {
      model("roberta-base", rows(12, 4, {{4, 768, 768}, {1, 768, 3072}, {1, 3072, 768}}), 90,
            {kTokens, 768, 3072, 4, 0}),
      model("llama-3.2-3b-qv", rows(28, 4, {{1, 3072, 3072}, {1, 3072, 1024}}), 256, {kTokens, 3072, 3072, 4, 0}),
      model("llama-2-7b", rows(32, 4, {{4, 4096, 4096}, {2, 4096, 11008}, {1, 11008, 4096}}), 2048,
            {kTokens, 4096, 11008, 4, 0}),
      model("llama-2-13b", rows(40, 6, {{4, 5120, 5120}, {2, 5120, 13824}, {1, 13824, 5120}}), 2048,
            {kTokens, 5120, 13824, 6, 0}),
  };
  if (scale != 1) {
    for (Shape &shape : all) {
      const auto scaled = [scale](int64_t n, int64_t least) {
        return std::max(least, static_cast<int64_t>(static_cast<double>(n) * scale));
      };
      shape.rows = scaled(shape.rows, 64);
      shape.num_vectors = static_cast<int32_t>(scaled(shape.num_vectors, 32));
      shape.layer.tokens = scaled(shape.layer.tokens, 8);
      shape.layer.in_features = scaled(shape.layer.in_features, 64);
      shape.layer.out_features = scaled(shape.layer.out_features, 64);
    }
  }
  return all;
}

std::vector<Shape> checked_shapes(bool quick) {
  if (quick) {
    return {{{150, 96, 64, 2}, "aligned", 0, {37, 264, 520, 4, 0}},
            {{83, 45, 33, 3}, "unaligned", 1, {21, 131, 67, 6, 0.3f}},
            {{5, 45, 20, 40}, "large-topk", 0, {5, 40, 24, 33, 0.1f}}};
  }
  return {
      {{9760, 2048, 256, 2}, "aligned", 0, {2048, 4096, 4096, 4, 0}},  // a quarter of Llama-2-7B, and one of its layers
      {{2011, 515, 255, 3}, "unaligned", 1, {515, 1031, 517, 6, 0.3f}},
      {{509, 600, 40, 40}, "large-topk", 0, {100, 768, 3072, 64, 0.1f}},
  };
}

}  // namespace bench
