// The models whose admixtures are timed.
#pragma once
#include <cstdint>
#include <vector>

namespace bench {

struct Shape {
  const char *name;
  int64_t rows;  // sub-vectors of all adapted layers
  int32_t num_vectors, vector_length, topk;
};

// All shapes; rows and num_vectors are multiplied by scale, down to 64 and 32.
std::vector<Shape> shapes(double scale);

}  // namespace bench
