#include "gemm.h"

#include <algorithm>
#include <vector>

#include "simt/float16.h"

namespace simt {
namespace {

constexpr int64_t kTile = 256;  // rows of C at a time: a tile of op(A) stays in the cache

float load(const void *data, cudaDataType type, int64_t i) {
  switch (type) {
    case CUDA_R_16F:
      return half_to_float(static_cast<const uint16_t *>(data)[i]);
    case CUDA_R_16BF:
      return bfloat16_to_float(static_cast<const uint16_t *>(data)[i]);
    default:
      return static_cast<const float *>(data)[i];
  }
}

void store(void *data, cudaDataType type, int64_t i, float value) {
  switch (type) {
    case CUDA_R_16F:
      static_cast<uint16_t *>(data)[i] = float_to_half(value);
      break;
    case CUDA_R_16BF:
      static_cast<uint16_t *>(data)[i] = float_to_bfloat16(value);
      break;
    default:
      static_cast<float *>(data)[i] = value;
  }
}

// Element (row, column) of op(X), of matrix number `matrix`.
int64_t index(const Gemm::Operand &x, int64_t matrix, int64_t row, int64_t column) {
  return matrix * x.stride + (x.transposed ? column + row * x.ld : row + column * x.ld);
}

}  // namespace

int64_t size_of(cudaDataType type) { return type == CUDA_R_32F ? 4 : 2; }

void run_gemm(const Gemm &gemm, float alpha, float beta) {
  std::vector<float> a(static_cast<size_t>(std::min(kTile, gemm.m) * gemm.k)), sums(kTile);
  for (int64_t matrix = 0; matrix < gemm.count; ++matrix) {
    for (int64_t begin = 0; begin < gemm.m; begin += kTile) {
      const int64_t rows = std::min(kTile, gemm.m - begin);
      for (int64_t p = 0; p < gemm.k; ++p) {
        for (int64_t i = 0; i < rows; ++i) {
          a[p * rows + i] = load(gemm.a.data, gemm.a.type, index(gemm.a, matrix, begin + i, p));
        }
      }
      for (int64_t j = 0; j < gemm.n; ++j) {
        std::fill(sums.begin(), sums.end(), 0.0f);
        for (int64_t p = 0; p < gemm.k; ++p) {
          const float factor = load(gemm.b.data, gemm.b.type, index(gemm.b, matrix, p, j));
          const float *column = &a[p * rows];
          for (int64_t i = 0; i < rows; ++i) sums[i] += column[i] * factor;
        }
        for (int64_t i = 0; i < rows; ++i) {
          const int64_t at = index(gemm.c, matrix, begin + i, j);
          const float old = beta == 0 ? 0.0f : beta * load(gemm.c.data, gemm.c.type, at);
          store(const_cast<void *>(gemm.c.data), gemm.c.type, at, alpha * sums[i] + old);
        }
      }
    }
  }
}

}  // namespace simt
