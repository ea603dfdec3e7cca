// 16-bit floating-point types: every value against the format's definition, conversions to them against the nearest of
// all values, ties to even.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "check.h"

namespace {

struct Format {
  int exponent_bits, fraction_bits;

  double value(unsigned bits) const {
    const int bias = (1 << (exponent_bits - 1)) - 1;
    const unsigned fraction = bits & ((1u << fraction_bits) - 1);
    const int exponent = static_cast<int>(bits >> fraction_bits & ((1u << exponent_bits) - 1));
    const double sign = bits >> 15 ? -1 : 1;
    if (exponent == (1 << exponent_bits) - 1) return fraction ? NAN : sign * INFINITY;
    if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - fraction_bits);
    return sign * std::ldexp(fraction + (1u << fraction_bits), exponent - bias - fraction_bits);
  }

  // Of a positive number: the nearest positive value's bits, where infinity stands for the number that would follow the
  // greatest finite one.
  unsigned nearest(double x) const {
    const unsigned infinity = ((1u << exponent_bits) - 1) << fraction_bits;
    unsigned below = 0, above = infinity;  // bits of positive values are in the values' order
    const double beyond = 2 * value(infinity - (1u << fraction_bits));
    const auto at = [&](unsigned bits) { return bits == infinity ? beyond : value(bits); };
    if (x >= beyond) return infinity;
    while (above - below > 1) {
      const unsigned middle = (below + above) / 2;
      (at(middle) <= x ? below : above) = middle;
    }
    const double down = x - at(below), up = at(above) - x;
    if (down != up) return down < up ? below : above;
    return below % 2 == 0 ? below : above;
  }
};

template <typename T, typename FromBits, typename Bits>
void check_format(const Format &format, FromBits from_bits, Bits bits_of) {
  for (unsigned bits = 0; bits < 65536; ++bits) {
    const double expected = format.value(bits);
    const float got = from_bits(static_cast<unsigned short>(bits));
    if (std::isnan(expected)) {
      CHECK(std::isnan(got));
      CHECK(bits_of(T(got)) == 0x7fff);
      continue;
    }
    CHECK(static_cast<double>(got) == expected && std::signbit(got) == (bits >= 32768));
    CHECK(bits_of(T(got)) == bits);  // there and back
    CHECK(bits_of(__hneg(T(got))) == (bits ^ 0x8000u));
  }
  // Halfway points, and a hair to either side of them, which a detour by float would round twice.
  const unsigned infinity = ((1u << format.exponent_bits) - 1) << format.fraction_bits;
  for (unsigned bits = 0; bits + 1 < infinity; bits += 7) {
    const double middle = (format.value(bits) + format.value(bits + 1)) / 2;
    for (const double x : {middle, middle * (1 + 1e-13), middle * (1 - 1e-13)}) {
      CHECK(bits_of(T(x)) == format.nearest(x));
      CHECK(bits_of(T(-x)) == (format.nearest(x) | 0x8000u));
    }
    const float as_float = static_cast<float>(middle);
    CHECK(bits_of(T(as_float)) == format.nearest(static_cast<double>(as_float)));
  }
  std::mt19937 random(2);
  for (int i = 0; i < 20000; ++i) {
    const float x = __uint_as_float(random() & 0x7fffffffu);
    if (!std::isfinite(x)) continue;
    CHECK(bits_of(T(x)) == format.nearest(static_cast<double>(x)));
  }
}

template <typename T>
__global__ void pairs(const float *x, float *y, int n) {
  const int i = static_cast<int>(threadIdx.x);
  if (i >= n) return;
  const T a(x[i]), b(x[n - 1 - i]);
  y[4 * i] = a + b;
  y[4 * i + 1] = a * b;
  y[4 * i + 2] = __hfma(a, b, a);
  y[4 * i + 3] = __shfl_xor_sync(0xffffffffu, a, 1);
}

template <typename T>
void check_arithmetic() {
  constexpr int n = 64;
  std::vector<float> x(n), y(4 * n);
  for (int i = 0; i < n; ++i) x[i] = static_cast<float>(i) - 17.25f;
  float *dx = nullptr, *dy = nullptr;
  cudaMalloc(&dx, n * sizeof(float));
  cudaMalloc(&dy, 4 * n * sizeof(float));
  cudaMemcpy(dx, x.data(), n * sizeof(float), cudaMemcpyHostToDevice);
  SIMT_LAUNCH(pairs<T>, 1, n, 0, nullptr, dx, dy, n);
  CHECK(cudaGetLastError() == cudaSuccess);
  cudaMemcpy(y.data(), dy, 4 * n * sizeof(float), cudaMemcpyDeviceToHost);
  cudaFree(dx);
  cudaFree(dy);
  for (int i = 0; i < n; ++i) {
    const double a = T(x[i]), b = T(x[n - 1 - i]);  // their sums and products are exact in double
    CHECK(y[4 * i] == float(T(a + b)));
    CHECK(y[4 * i + 1] == float(T(a * b)));
    CHECK(y[4 * i + 2] == float(T(a * b + a)));
    CHECK(y[4 * i + 3] == float(T(x[i ^ 1])));
  }
}

}  // namespace

int main() {
  check_format<__half>({5, 10}, [](unsigned short b) { return __half2float(__ushort_as_half(b)); }, __half_as_ushort);
  check_format<__nv_bfloat16>(
      {8, 7}, [](unsigned short b) { return __bfloat162float(__ushort_as_bfloat16(b)); }, __bfloat16_as_ushort);
  check_arithmetic<__half>();
  check_arithmetic<__nv_bfloat16>();
  const float2 pair = __bfloat1622float2(__floats2bfloat162_rn(1.0f, -2.5f));
  CHECK(pair.x == 1.0f && pair.y == -2.5f);
  const float2 half_pair = __half22float2(__hadd2(__floats2half2_rn(1.0f, -2.5f), __float2half2_rn(0.5f)));
  CHECK(half_pair.x == 1.5f && half_pair.y == -2.0f);
  CHECK(sizeof(__half) == 2 && sizeof(__half2) == 4 && alignof(__half2) == 4 && alignof(__nv_bfloat162) == 4);
  return report_checks();
}
