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

// Between them they have every instance of every kernel (a test says so), warps that share rows and such that do not,
// and vectors and ranks enough for every loop to go round again.
std::vector<Shape> checked_shapes(bool quick) {
  const auto size = [quick](int64_t full, int64_t small) { return quick ? small : full; };
  const auto width = [quick](int32_t full, int32_t small) { return quick ? small : full; };
  return {
      // A quarter of Llama-2-7B, and one of its layers.
      {{size(9760, 150), width(2048, 96), width(256, 128), 2},
       "aligned",
       0,
       {size(2048, 37), size(4096, 264), size(4096, 520), 4, 0}},
      {{size(2011, 83), width(515, 45), width(255, 67), 3},
       "unaligned",
       1,
       {size(515, 21), size(1031, 131), size(517, 67), 6, 0.3f, true}},
      // More than a warp selects; in full, more rows than the active set has blocks for at a time.
      {{size(8300, 5), width(2048, 300), width(40, 20), 40},
       "large-topk",
       0,
       {size(100, 5), size(768, 40), size(3072, 24), 70, 0.1f}},
      // Fewer inactive entries than candidates; odd lengths on a boundary.
      {{size(333, 7), 150, 71, 33}, "topk-33", 0, {size(100, 5), 51, 35, 3, 0.1f}},
      // One layer of Llama-2-7B: few rows, and so long that the warps of a block share one.
      {{size(1220, 9), width(2048, 1100), width(256, 72), 2}, "few-rows", 0, {size(100, 5), 4200, 40, 2, 0}},
      {{size(83, 9), 1101, 33, 8}, "few-rows-topk-8", 1, {size(100, 9), 77, 131, 10, 0.5f}},
      {{size(83, 9), 1101, 45, 1}, "few-rows-topk-1", 3, {size(100, 9), 61, 34, 1, 0.1f}},
      {{size(77, 9), 1100, 300, 4}, "few-rows-topk-4", 0, {size(300, 9), 128, 72, 16, 0.1f, true}},
      {{size(2016, 59), 92, 300, 1}, "topk-1", 0, {size(100, 6), 72, 128, 2, 0.2f}},
      {{size(2015, 59), 91, 259, 2}, "topk-2-unaligned", 1, {size(100, 6), 39, 41, 5, 0}},
      {{size(2014, 59), 88, 40, 17}, "topk-17", 0, {size(100, 6), 64, 64, 12, 0.1f, true}},
  };
}

}  // namespace bench
