// Sums of columns, which a bias's gradient and the mean over tokens share.
#pragma once
#include <cstdint>

#include "runtime/stream.h"

namespace vbl {

// Columns summed at a time: whole cache lines of every row.
constexpr int64_t kSummedColumns = 64;

// sums[c] = the sum of x[r · stride + c] over r in [0, rows), from the first row on; at most kSummedColumns columns.
inline void column_sums(int64_t rows, int64_t columns, int64_t stride, const float *x, double *sums) {
  for (int64_t c = 0; c < columns; ++c) sums[c] = 0;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) sums[c] += static_cast<double>(x[r * stride + c]);
}

// to[c] += the sum of column c of x [rows, columns]. One task makes a column's sum, which so has the same bits whatever
// the number of threads.
inline void add_column_sums(vbl_stream *stream, int64_t rows, int64_t columns, int64_t stride, const float *x,
                            float *to) {
  parallel_for(stream, columns, kSummedColumns, [&](int64_t begin, int64_t end) {
    double sums[kSummedColumns];
    column_sums(rows, end - begin, stride, x + begin, sums);
    for (int64_t c = begin; c < end; ++c) to[c] = static_cast<float>(static_cast<double>(to[c]) + sums[c - begin]);
  });
}

}  // namespace vbl
