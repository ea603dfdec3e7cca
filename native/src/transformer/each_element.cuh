// Ops on the elements of matrices [rows, columns], each of which depends only on those at its own place: 16 bytes of every
// array at a time, where columns, leading dimensions and addresses allow, else single elements.
//
// Launch: a thread has one vector. A row is a group of lanes, so that short rows share a block; longer ones are cut into
// tiles, a block for each. With 256 threads and few registers the loads of 2,048 threads are under way on an SM, two or
// three times what the memory's latency wants; more vectors per thread would not be quicker and would leave more lanes
// idle at the end of a row. Where nothing lies between rows they are one.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <limits>

#include "runtime/convert.cuh"

namespace vbl {
namespace cuda {

constexpr int kElementThreads = 256;

// Calls op.at<V>(row, column) for all vectors of V elements. Op holds the pointers, and has T, the elements' type.
template <typename Op, int V>
__global__ void __launch_bounds__(kElementThreads)
    each_element(int64_t rows, int64_t columns, int group_bits, unsigned tiles, Op op) {
  const unsigned group = 1u << group_bits;
  const int64_t row =
      static_cast<int64_t>(blockIdx.x / tiles) * (kElementThreads >> group_bits) + (threadIdx.x >> group_bits);
  const int64_t column = (static_cast<int64_t>(blockIdx.x % tiles) * group + (threadIdx.x & (group - 1))) * V;
  if (row < rows && column < columns) op.template at<V>(row, column);
}

template <int V, typename Op>
vbl_status launch_each_element(cudaStream_t stream, const char *name, int64_t rows, int64_t columns, const Op &op) {
  int group_bits = 0;
  while ((1 << group_bits) < kElementThreads && (int64_t{V} << group_bits) < columns) ++group_bits;
  const int64_t per_block = kElementThreads >> group_bits, tile = int64_t{V} << group_bits;
  const int64_t tiles = (columns + tile - 1) / tile, blocks = (rows + per_block - 1) / per_block * tiles;
  VBL_REQUIRE(blocks <= std::numeric_limits<int32_t>::max(), "%s: %lld rows of %lld columns are out of range", name,
              static_cast<long long>(rows), static_cast<long long>(columns));
  VBL_LAUNCH((each_element<Op, V>), static_cast<unsigned>(blocks), kElementThreads, 0, stream, rows, columns,
             group_bits, static_cast<unsigned>(tiles), op);
  return launched(name);
}

// A matrix that an op works on.
struct ElementMatrix {
  const void *data;
  int64_t ld;
};

// Runs an op on matrices of its type, all of which are listed.
template <typename Op>
vbl_status for_each_element(cudaStream_t stream, const char *name, int64_t rows, int64_t columns, const Op &op,
                            std::initializer_list<ElementMatrix> matrices) {
  constexpr int kVector = 16 / sizeof(typename Op::T);
  bool dense = true, vectors = true;
  for (const ElementMatrix &matrix : matrices) {
    dense = dense && matrix.ld == columns;
    vectors = vectors && aligned(matrix.data, 16) && (rows == 1 || matrix.ld % kVector == 0);
  }
  if (dense) columns *= rows, rows = 1;
  if (vectors && columns % kVector == 0) return launch_each_element<kVector>(stream, name, rows, columns, op);
  return launch_each_element<1>(stream, name, rows, columns, op);
}

}  // namespace cuda
}  // namespace vbl
