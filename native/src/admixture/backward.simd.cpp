#include "admixture/backward.simd.h"

#include "runtime/simd.h"

namespace vbl {
namespace VBL_ISA {
namespace {

constexpr int kSums = 16;  // of a scalar product, whatever the instruction set
constexpr int kVectors = kSums / kDoubles;

// x with `count` rows of y at a time, so that x is read and widened once for all of them.
template <int count>
inline void dot(int64_t n, const float *x, const float *const *y, double *products) {
  vdouble sums[count][kVectors] = {};
  const auto add = [&sums](const float *xs, const float *const *ys, int64_t at) {
    for (int v = 0; v < kVectors; ++v) {
      const vdouble wide = widen(xs + at + v * kDoubles);
      for (int j = 0; j < count; ++j) sums[j][v] = fma(wide, widen(ys[j] + at + v * kDoubles), sums[j][v]);
    }
  };
  int64_t i = 0;
  for (; i + kSums <= n; i += kSums) add(x, y, i);
  if (i < n) {  // the rest, beside zeros
    float rest[count + 1][kSums] = {};
    const float *ys[count];
    for (int64_t l = 0; i + l < n; ++l) {
      rest[count][l] = x[i + l];
      for (int j = 0; j < count; ++j) rest[j][l] = y[j][i + l];
    }
    for (int j = 0; j < count; ++j) ys[j] = rest[j];
    add(rest[count], ys, 0);
  }
  for (int j = 0; j < count; ++j) {
    for (int width = kVectors / 2; width > 0; width /= 2)
      for (int v = 0; v < width; ++v) sums[j][v] += sums[j][v + width];
    products[j] = sum(sums[j][0]);
  }
}

}  // namespace

void dots(int64_t n, const float *x, int32_t k, const int32_t *rows, const float *y, double *products) {
  int32_t j = 0;
  for (; j + 1 < k; j += 2) {
    const float *const two[] = {y + rows[j] * n, y + rows[j + 1] * n};
    dot<2>(n, x, two, products + j);
  }
  if (j < k) {
    const float *const one[] = {y + rows[j] * n};
    dot<1>(n, x, one, products + j);
  }
}

void sum_uses(int64_t n, int64_t count, const BankUse *uses, const float *dpacked, int64_t vector_length, double *sum) {
  const auto weight = [uses](int64_t u) { return splat_double(uses[u].weight); };
  const auto du = [=](int64_t u, int64_t i) { return dpacked + uses[u].slot * vector_length + i; };
  int64_t i = 0;
  for (; i + 4 * kDoubles <= n; i += 4 * kDoubles) {  // a block of columns stays in registers while the uses pass
    vdouble block[4] = {};
    for (int64_t u = 0; u < count; ++u) {
      const vdouble w = weight(u);
      const float *x = du(u, i);
      block[0] = fma(w, widen(x), block[0]);
      block[1] = fma(w, widen(x + kDoubles), block[1]);
      block[2] = fma(w, widen(x + 2 * kDoubles), block[2]);
      block[3] = fma(w, widen(x + 3 * kDoubles), block[3]);
    }
    store(sum + i, block[0]);
    store(sum + i + kDoubles, block[1]);
    store(sum + i + 2 * kDoubles, block[2]);
    store(sum + i + 3 * kDoubles, block[3]);
  }
  for (; i + kDoubles <= n; i += kDoubles) {
    vdouble block{};
    for (int64_t u = 0; u < count; ++u) block = fma(weight(u), widen(du(u, i)), block);
    store(sum + i, block);
  }
  for (; i < n; ++i) {
    double total = 0;
    for (int64_t u = 0; u < count; ++u) total += static_cast<double>(uses[u].weight) * static_cast<double>(*du(u, i));
    sum[i] = total;
  }
}

}  // namespace VBL_ISA
}  // namespace vbl
