// The models whose admixtures are timed, and the shapes on which kernels are checked.
#pragma once
#include <cstdint>
#include <vector>

#include "reference.h"

namespace bench {

// One adapted layer, on the tokens of a batch.
struct Layer {
  int64_t tokens, in_features, out_features;
  int32_t r;
  float dropout;
  bool narrow_factors = false;  // A and B have the activations' dtype; else float32, as in training
};

// rows: sub-vectors of all adapted layers.
struct Shape : reference::Shape {
  const char *name;
  int32_t shift;  // elements by which arrays are off a 64-byte boundary
  Layer layer;
};

// Whole models; rows and num_vectors, and the layer's tokens and features, are multiplied by scale, down
// to 64, 32, 8 and 64.
std::vector<Shape> shapes(double scale);

// One that is larger than caches, for its times to mean something, and some that take the kernels' other paths: arrays
// off their boundaries, lengths that no vector divides, rows few and long, any topk. Smaller ones, which take the same
// paths, if quick.
std::vector<Shape> checked_shapes(bool quick);

}  // namespace bench
