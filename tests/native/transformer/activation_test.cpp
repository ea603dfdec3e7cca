// Activations against erfc, exp and tanh in float64; their slopes also against central differences.
#include <algorithm>

#include "arrays.h"

namespace {

constexpr int32_t kActivations[] = {VBL_GELU, VBL_GELU_TANH, VBL_RELU, VBL_TANH};
constexpr double kRootTwoOverPi = 0.79788456080286535588, kInverseRootTwoPi = 0.39894228040143267794;

double logistic_argument(double x) { return 2 * kRootTwoOverPi * (x + 0.044715 * x * x * x); }

double definition(int32_t activation, double x) {
  switch (activation) {
    case VBL_GELU:
      return x / 2 * std::erfc(-x * std::sqrt(0.5));  // 1 + erf(a) = erfc(-a)
    case VBL_GELU_TANH:
      return x / (1 + std::exp(-logistic_argument(x)));  // 1/2 (1 + tanh(a)) = 1 / (1 + exp(-2 a))
    case VBL_RELU:
      return x > 0 ? x : 0;
    default:
      return std::tanh(x);
  }
}

double slope(int32_t activation, double x) {
  switch (activation) {
    case VBL_GELU:
      return std::erfc(-x * std::sqrt(0.5)) / 2 + x * kInverseRootTwoPi * std::exp(-x * x / 2);
    case VBL_GELU_TANH: {
      const double p = 1 / (1 + std::exp(-logistic_argument(x))), q = 1 / (1 + std::exp(logistic_argument(x)));
      return p + (p * q > 0 ? x * p * q * 2 * kRootTwoOverPi * (1 + 3 * 0.044715 * x * x) : 0);
    }
    case VBL_RELU:
      return x > 0;
    default:
      return 1 / std::pow(std::cosh(x), 2);
  }
}

// The distance of neighbouring floats at |x|.
double unit(double x) {
  int exponent;
  std::frexp(x, &exponent);
  return std::ldexp(1, std::max(exponent - 24, -149));
}

std::vector<float> forward(vbl_stream *stream, int32_t activation, const std::vector<float> &x) {
  std::vector<float> y(x.size(), NAN);
  CHECK_STATUS(VBL_OK, vbl_activation_forward(stream, VBL_FLOAT32, activation, static_cast<int64_t>(x.size()), x.data(),
                                              y.data()));
  return y;
}

std::vector<float> backward(vbl_stream *stream, int32_t activation, const std::vector<float> &x,
                            const std::vector<float> &dy) {
  std::vector<float> dx(x.size(), NAN);
  CHECK_STATUS(VBL_OK, vbl_activation_backward(stream, VBL_FLOAT32, activation, static_cast<int64_t>(x.size()),
                                               x.data(), dy.data(), dx.data()));
  return dx;
}

}  // namespace

TEST(activations_are_within_their_bounds_over_all_floats) {
  std::vector<float> x;
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 3001) {
    const uint32_t pattern = static_cast<uint32_t>(bits);
    float value;
    std::memcpy(&value, &pattern, sizeof value);
    if (std::isfinite(value)) x.push_back(value);
  }
  for (int i = 0; i <= 1000000; ++i) x.push_back(-16.0f + 32.0f * static_cast<float>(i) / 1000000);
  const std::vector<float> ones(x.size(), 1.0f);
  check::CpuStream stream;
  const double bounds[] = {8, 4, 0, 3};  // as the header states them
  for (int32_t activation : kActivations) {
    const std::vector<float> y = forward(stream, activation, x), dx = backward(stream, activation, x, ones);
    double worst = 0, worst_of_x = 0, worst_slope = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double expected = definition(activation, x[i]), error = std::fabs(y[i] - expected);
      if (std::fabs(expected) >= 1e-36) worst = std::fmax(worst, error / unit(expected));
      worst_of_x = std::fmax(worst_of_x, error / unit(x[i]));
      worst_slope = std::fmax(worst_slope, std::fabs(dx[i] - slope(activation, x[i])));
      CHECK(std::isfinite(y[i]) && std::isfinite(dx[i]));
    }
    CHECK_NEAR(worst, 0, bounds[activation]);
    CHECK_NEAR(worst_of_x, 0, 3);
    CHECK_NEAR(worst_slope, 0, 0x1p-22);
  }
}

TEST(activations_of_special_values) {
  check::CpuStream stream;
  const std::vector<float> x = {INFINITY, -INFINITY, NAN, 0.0f, -0.0f}, ones(x.size(), 1);
  for (int32_t activation : kActivations) {
    const std::vector<float> y = forward(stream, activation, x), dx = backward(stream, activation, x, ones);
    const bool tanh = activation == VBL_TANH;
    CHECK(y[0] == (tanh ? 1 : INFINITY) && y[1] == (tanh ? -1 : 0));
    CHECK(std::isnan(y[2]) && std::isnan(dx[2]));
    CHECK(y[3] == 0 && y[4] == 0);
    CHECK(dx[0] == (tanh ? 0 : 1) && dx[1] == 0);
    CHECK(dx[3] == (tanh ? 1 : activation == VBL_RELU ? 0 : 0.5f) && dx[4] == dx[3]);
  }
  CHECK(std::signbit(forward(stream, VBL_TANH, {-0.0f})[0]));
}

TEST(activations_equal_their_definition_with_any_number_of_threads) {
  check::Random random(check::seed());
  for (int32_t activation : kActivations)
    for (int64_t n : {1, 3, 15, 16, 37, 100003}) {
      const std::vector<float> x = check::normals(random, n, 3), dy = check::normals(random, n);
      std::vector<double> y_expected, dx_expected;
      for (size_t i = 0; i < x.size(); ++i) {
        y_expected.push_back(definition(activation, x[i]));
        dx_expected.push_back(slope(activation, x[i]) * dy[i]);
      }
      std::vector<float> first_y, first_dx;
      for (int32_t threads : {1, 2, 3}) {
        check::CpuStream stream(threads);
        const std::vector<float> y = forward(stream, activation, x), dx = backward(stream, activation, x, dy);
        CHECK_NEAR(check::error(y, y_expected), 0, 3e-7);
        CHECK_NEAR(check::error(dx, dx_expected, 1), 0, 3e-7);
        if (threads == 1) first_y = y, first_dx = dx;
        CHECK(check::same_bits(y, first_y) && check::same_bits(dx, first_dx));
        std::vector<float> in_place = x;
        CHECK_STATUS(VBL_OK,
                     vbl_activation_forward(stream, VBL_FLOAT32, activation, n, in_place.data(), in_place.data()));
        CHECK(check::same_bits(in_place, first_y));
        in_place = dy;
        CHECK_STATUS(VBL_OK, vbl_activation_backward(stream, VBL_FLOAT32, activation, n, x.data(), in_place.data(),
                                                     in_place.data()));
        CHECK(check::same_bits(in_place, first_dx));
        in_place = x;
        CHECK_STATUS(VBL_OK, vbl_activation_backward(stream, VBL_FLOAT32, activation, n, in_place.data(), dy.data(),
                                                     in_place.data()));
        CHECK(check::same_bits(in_place, first_dx));
      }
    }
}

TEST(slopes_of_activations_equal_central_differences) {
  check::CpuStream stream;
  std::vector<float> x;
  for (int i = -60; i <= 60; ++i)
    if (i != 0) x.push_back(static_cast<float>(i) / 8);  // not where RELU has no derivative
  const std::vector<float> ones(x.size(), 1);
  const double h = 1e-5;
  for (int32_t activation : kActivations) {
    const std::vector<float> dx = backward(stream, activation, x, ones);
    for (size_t i = 0; i < x.size(); ++i)
      CHECK_NEAR(dx[i], (definition(activation, x[i] + h) - definition(activation, x[i] - h)) / (2 * h), 3e-7);
  }
}

TEST(activations_do_not_touch_memory_behind_their_end) {
  check::CpuStream stream;
  for (int32_t activation : kActivations)
    for (size_t n = 1; n < 34; ++n) {
      const std::vector<float> x(n, 0.5f);
      std::vector<float> y(n + 1, 7), dx(n + 1, 7);
      const int64_t count = static_cast<int64_t>(n);
      CHECK_STATUS(VBL_OK, vbl_activation_forward(stream, VBL_FLOAT32, activation, count, x.data(), y.data()));
      CHECK_STATUS(VBL_OK,
                   vbl_activation_backward(stream, VBL_FLOAT32, activation, count, x.data(), x.data(), dx.data()));
      CHECK(y[n] == 7 && dx[n] == 7 && y[n - 1] == y[0] && dx[n - 1] == dx[0] && y[0] != 7 && dx[0] != 7);
    }
}

TEST(activations_refuse_what_they_cannot_take) {
  check::CpuStream stream;
  float x[2] = {}, y[2];
  CHECK_STATUS(VBL_OK, vbl_activation_forward(stream, VBL_FLOAT32, VBL_GELU, 0, nullptr, nullptr));
  CHECK_STATUS(VBL_OK, vbl_activation_backward(stream, VBL_FLOAT32, VBL_GELU, 0, nullptr, nullptr, nullptr));
  for (int32_t wrong : {-1, 4}) {
    CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_activation_forward(stream, VBL_FLOAT32, wrong, 2, x, y));
    CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_activation_backward(stream, VBL_FLOAT32, wrong, 2, x, x, y));
  }
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_activation_forward(stream, VBL_FLOAT32, VBL_TANH, -1, x, y));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_activation_forward(stream, VBL_FLOAT32, VBL_TANH, 2, nullptr, y));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_activation_forward(stream, VBL_FLOAT32, VBL_TANH, 2, x, nullptr));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_activation_forward(nullptr, VBL_FLOAT32, VBL_TANH, 2, x, y));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_activation_backward(stream, VBL_FLOAT32, VBL_TANH, -1, x, x, y));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_activation_backward(stream, VBL_FLOAT32, VBL_TANH, 2, nullptr, x, y));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_activation_backward(stream, VBL_FLOAT32, VBL_TANH, 2, x, nullptr, y));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_activation_backward(stream, VBL_FLOAT32, VBL_TANH, 2, x, x, nullptr));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_activation_backward(nullptr, VBL_FLOAT32, VBL_TANH, 2, x, x, y));
}
