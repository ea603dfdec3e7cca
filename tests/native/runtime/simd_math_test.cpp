// The vectorised exponential against std::exp in float64, in the instruction set that the library uses.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "check.h"
#include "runtime/simd_math_test.simd.h"

namespace {

std::vector<float> exp_all(const std::vector<float> &x) {
  std::vector<float> y(x.size(), -1);
  const int64_t n = static_cast<int64_t>(x.size());
  const std::string isa = vbl_cpu_isa();
#if defined(VBL_X86_ISAS)
  if (isa == "avx512") vbl::avx512::exp_all(n, x.data(), y.data());
  if (isa == "avx2") vbl::avx2::exp_all(n, x.data(), y.data());
#endif
  if (isa == "generic") vbl::generic::exp_all(n, x.data(), y.data());
  return y;
}

// The distance of neighbouring floats at |x|.
double unit(double x) {
  int exponent;
  std::frexp(x, &exponent);
  return std::ldexp(1, std::max(exponent - 24, -149));
}

}  // namespace

TEST(exp_is_within_one_unit_over_all_floats) {
  std::vector<float> x;
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 3001) {
    const uint32_t pattern = static_cast<uint32_t>(bits);
    float value;
    std::memcpy(&value, &pattern, sizeof value);
    if (!std::isnan(value)) x.push_back(value);
  }
  for (int i = 0; i <= 2000000; ++i) x.push_back(-105.0f + 195.0f * static_cast<float>(i) / 2000000);
  const std::vector<float> y = exp_all(x);
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double expected = std::exp(static_cast<double>(x[i]));
    if (expected > 0x1.FFFFFFp127) {
      CHECK(y[i] == INFINITY);
    } else {
      worst = std::fmax(worst, std::fabs(static_cast<double>(y[i]) - expected) / unit(expected));
    }
  }
  CHECK_NEAR(worst, 0, 1);
}

TEST(exp_of_special_values) {
  const float overflow = 88.72284f;  // the first float above the logarithm of the greatest
  const std::vector<float> x = {0.0f,     -0.0f,  INFINITY, -INFINITY, NAN,    -NAN, std::nextafter(overflow, 0.0f),
                                overflow, -87.5f, -103.9f,  -104.1f,   -1e30f, 1e30f};
  const std::vector<float> y = exp_all(x);
  CHECK(y[0] == 1 && y[1] == 1);
  CHECK(y[2] == INFINITY && y[3] == 0);
  CHECK(std::isnan(y[4]) && std::isnan(y[5]));
  CHECK(std::isfinite(y[6]) && y[7] == INFINITY);
  CHECK(y[8] > 0 && y[8] < 0x1p-126f);  // a denormal number
  CHECK(y[9] == 0x1p-149f && y[10] == 0 && y[11] == 0 && y[12] == INFINITY);
}
