// The models whose admixtures are timed, and the shapes on which kernels are checked.
#pragma once
#include <cstdint>
#include <vector>

#include "reference.h"

namespace bench {

// rows: sub-vectors of all adapted layers.
struct Shape : reference::Shape {
  const char *name;
  int32_t shift;  // elements by which arrays are off a 64-byte boundary
};

// Whole models; rows and num_vectors are multiplied by scale, down to 64 and 32.
std::vector<Shape> shapes(double scale);

// One that is larger than caches, for its times to mean something, and some that take the kernels' other paths: arrays
// off their boundaries, lengths that no vector divides, more of topk than a warp selects. Smaller ones if quick.
std::vector<Shape> checked_shapes(bool quick);

}  // namespace bench
