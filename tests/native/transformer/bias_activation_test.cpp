// A bias and an activation: activations against erfc, exp and tanh in float64, their slopes also against central
// differences, and both in one pass against one after the other.
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
  std::vector<float> inner = x, y(x.size(), NAN);
  CHECK_STATUS(VBL_OK, vbl_bias_activation_forward(stream, VBL_FLOAT32, activation, 1, static_cast<int64_t>(x.size()),
                                                   nullptr, inner.data(), 0, y.data(), 0));
  CHECK(check::same_bits(inner, x));
  return y;
}

std::vector<float> backward(vbl_stream *stream, int32_t activation, const std::vector<float> &x,
                            const std::vector<float> &dy) {
  std::vector<float> dx(x.size(), NAN);
  CHECK_STATUS(VBL_OK, vbl_bias_activation_backward(stream, VBL_FLOAT32, activation, 1, static_cast<int64_t>(x.size()),
                                                    x.data(), 0, dy.data(), 0, dx.data(), 0, nullptr));
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
        CHECK_STATUS(VBL_OK, vbl_bias_activation_forward(stream, VBL_FLOAT32, activation, 1, n, nullptr,
                                                         in_place.data(), 0, in_place.data(), 0));
        CHECK(check::same_bits(in_place, first_y));
        in_place = dy;
        CHECK_STATUS(VBL_OK, vbl_bias_activation_backward(stream, VBL_FLOAT32, activation, 1, n, x.data(), 0,
                                                          in_place.data(), 0, in_place.data(), 0, nullptr));
        CHECK(check::same_bits(in_place, first_dx));
        in_place = x;
        CHECK_STATUS(VBL_OK, vbl_bias_activation_backward(stream, VBL_FLOAT32, activation, 1, n, in_place.data(), 0,
                                                          dy.data(), 0, in_place.data(), 0, nullptr));
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

TEST(a_bias_and_an_activation_give_the_bits_of_one_after_the_other) {
  check::Random random(check::seed() + 1);
  const int64_t shapes[][2] = {{1, 1}, {5, 37}, {3, 16}, {70, 1537}};
  for (int32_t activation : kActivations)
    for (const auto &s : shapes) {
      const int64_t rows = s[0], columns = s[1];
      const std::vector<float> product = check::normals(random, rows * columns, 3),
                               bias = check::normals(random, columns),
                               dactivated = check::normals(random, rows * columns),
                               before = check::normals(random, columns);
      check::CpuStream one(1);
      std::vector<float> inner = product, dbias = before;
      CHECK_STATUS(VBL_OK, vbl_add_bias(one, VBL_FLOAT32, rows, columns, bias.data(), inner.data(), 0));
      const std::vector<float> activated = forward(one, activation, inner);
      const std::vector<float> dinner = backward(one, activation, inner, dactivated);
      CHECK_STATUS(VBL_OK, vbl_add_bias_backward(one, VBL_FLOAT32, rows, columns, dinner.data(), 0, dbias.data()));
      for (int32_t threads : {1, 2, 5}) {
        check::CpuStream stream(threads);
        const auto run = [&](std::vector<float> &x, int64_t ldi, std::vector<float> &y, int64_t lda) {
          CHECK_STATUS(VBL_OK, vbl_bias_activation_forward(stream, VBL_FLOAT32, activation, rows, columns, bias.data(),
                                                           x.data(), ldi, y.data(), lda));
        };
        std::vector<float> x = product, y(product.size(), NAN);
        run(x, 0, y, 0);
        CHECK(check::same_bits(x, inner) && check::same_bits(y, activated));
        x = product;
        run(x, 0, x, columns);
        CHECK(check::same_bits(x, activated));
        // As columns of wider matrices.
        x = check::side_by_side(rows, {product, product});
        y = check::side_by_side(rows, {product});
        run(x, 2 * columns + 1, y, columns + 1);
        CHECK(check::same_bits(x, check::side_by_side(rows, {inner, product})));
        CHECK(check::same_bits(y, check::side_by_side(rows, {activated})));

        const std::vector<float> dy = check::side_by_side(rows, {dactivated, product, product});
        std::vector<float> dx = check::side_by_side(rows, {product}), found = before;
        CHECK_STATUS(VBL_OK, vbl_bias_activation_backward(stream, VBL_FLOAT32, activation, rows, columns, x.data(),
                                                          2 * columns + 1, dy.data(), 3 * columns + 1, dx.data(),
                                                          columns + 1, found.data()));
        CHECK(check::same_bits(dx, check::side_by_side(rows, {dinner})) && check::same_bits(found, dbias));
      }
    }
}

TEST(activations_do_not_touch_memory_behind_their_end) {
  check::CpuStream stream;
  for (int32_t activation : kActivations)
    for (size_t n = 1; n < 34; ++n) {
      const std::vector<float> bias(n, 0.25f);
      std::vector<float> x(n + 1, 7), y(n + 1, 7), dx(n + 1, 7);
      std::fill_n(x.begin(), n, 0.5f);
      const int64_t count = static_cast<int64_t>(n);
      CHECK_STATUS(VBL_OK, vbl_bias_activation_forward(stream, VBL_FLOAT32, activation, 1, count, bias.data(), x.data(),
                                                       0, y.data(), 0));
      CHECK_STATUS(VBL_OK, vbl_bias_activation_backward(stream, VBL_FLOAT32, activation, 1, count, x.data(), 0,
                                                        x.data(), 0, dx.data(), 0, nullptr));
      CHECK(x[n] == 7 && x[n - 1] == 0.75f && y[n] == 7 && dx[n] == 7);
      CHECK(y[n - 1] == y[0] && dx[n - 1] == dx[0] && y[0] != 7 && dx[0] != 7);
    }
}

TEST(activations_refuse_what_they_cannot_take) {
  check::CpuStream stream;
  float x[4] = {}, y[4];
  const auto forward = [&](int32_t activation, int64_t rows, int64_t columns, float *inner, int64_t ldi,
                           float *activated, int64_t lda) {
    return vbl_bias_activation_forward(stream, VBL_FLOAT32, activation, rows, columns, nullptr, inner, ldi, activated,
                                       lda);
  };
  const auto backward = [&](int32_t activation, int64_t rows, int64_t columns, const float *inner, int64_t ldi,
                            const float *dactivated, int64_t ldda, float *dinner, int64_t lddi) {
    return vbl_bias_activation_backward(stream, VBL_FLOAT32, activation, rows, columns, inner, ldi, dactivated, ldda,
                                        dinner, lddi, nullptr);
  };
  CHECK_STATUS(VBL_OK, forward(VBL_GELU, 0, 2, nullptr, 0, nullptr, 0));
  CHECK_STATUS(VBL_OK, backward(VBL_GELU, 2, 0, nullptr, 0, nullptr, 0, nullptr, 0));
  for (int32_t wrong : {-1, 4}) {
    CHECK_STATUS(VBL_INVALID_ARGUMENT, forward(wrong, 1, 2, x, 0, y, 0));
    CHECK_STATUS(VBL_INVALID_ARGUMENT, backward(wrong, 1, 2, x, 0, x, 0, y, 0));
  }
  CHECK_STATUS(VBL_INVALID_ARGUMENT, forward(VBL_TANH, -1, 2, x, 0, y, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, forward(VBL_TANH, 1, -2, x, 0, y, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, forward(VBL_TANH, 1, 2, nullptr, 0, y, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, forward(VBL_TANH, 1, 2, x, 0, nullptr, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, forward(VBL_TANH, 1, 2, x, 1, y, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, forward(VBL_TANH, 1, 2, x, 0, y, 1));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, forward(VBL_TANH, 1, 2, x, 0, x, 3));
  CHECK_STATUS(VBL_INVALID_ARGUMENT,
               vbl_bias_activation_forward(nullptr, VBL_FLOAT32, VBL_TANH, 1, 2, nullptr, x, 0, y, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, backward(VBL_TANH, -1, 2, x, 0, x, 0, y, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, backward(VBL_TANH, 1, -2, x, 0, x, 0, y, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, backward(VBL_TANH, 1, 2, nullptr, 0, x, 0, y, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, backward(VBL_TANH, 1, 2, x, 0, nullptr, 0, y, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, backward(VBL_TANH, 1, 2, x, 0, x, 0, nullptr, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, backward(VBL_TANH, 1, 2, x, 1, x, 0, y, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, backward(VBL_TANH, 1, 2, x, 0, x, 1, y, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, backward(VBL_TANH, 1, 2, x, 0, x, 0, y, 1));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, backward(VBL_TANH, 1, 2, y, 0, x, 0, y, 3));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, backward(VBL_TANH, 1, 2, x, 0, y, 0, y, 3));
  CHECK_STATUS(VBL_INVALID_ARGUMENT,
               vbl_bias_activation_backward(nullptr, VBL_FLOAT32, VBL_TANH, 1, 2, x, 0, x, 0, y, 0, nullptr));
}
