// LayerNorm against its definition in float64; its gradient against central differences of that definition.
#include "arrays.h"

namespace {

struct Results {
  std::vector<double> y, mean, rstd;
};

Results definition(int64_t rows, int64_t hidden, double eps, const std::vector<double> &x,
                   const std::vector<float> &weight, const std::vector<float> &bias) {
  Results r;
  for (int64_t i = 0; i < rows; ++i) {
    const double *row = &x[static_cast<size_t>(i * hidden)];
    const double n = static_cast<double>(hidden);
    double mean = 0, variance = 0;
    for (int64_t j = 0; j < hidden; ++j) mean += row[j] / n;
    for (int64_t j = 0; j < hidden; ++j) variance += (row[j] - mean) * (row[j] - mean) / n;
    r.mean.push_back(mean);
    r.rstd.push_back(1 / std::sqrt(variance + eps));
    for (int64_t j = 0; j < hidden; ++j)
      r.y.push_back((row[j] - mean) * r.rstd.back() * weight[static_cast<size_t>(j)] + bias[static_cast<size_t>(j)]);
  }
  return r;
}

std::vector<double> gradient(int64_t rows, int64_t hidden, const Results &forward, const std::vector<float> &x,
                             const std::vector<float> &weight, const std::vector<float> &dy) {
  std::vector<double> dx;
  const size_t n = static_cast<size_t>(hidden);
  for (size_t i = 0; i < static_cast<size_t>(rows); ++i) {
    double sum = 0, product = 0;
    const auto z = [&](size_t j) { return (x[i * n + j] - forward.mean[i]) * forward.rstd[i]; };
    const auto t = [&](size_t j) { return 1.0 * dy[i * n + j] * weight[j]; };
    for (size_t j = 0; j < n; ++j) sum += t(j), product += t(j) * z(j);
    for (size_t j = 0; j < n; ++j)
      dx.push_back(forward.rstd[i] * (t(j) - (sum + z(j) * product) / static_cast<double>(hidden)));
  }
  return dx;
}

}  // namespace

TEST(layernorm_equals_its_definition_with_any_number_of_threads) {
  check::Random random(check::seed());
  const int64_t shapes[][2] = {{1, 2}, {5, 3}, {17, 64}, {33, 100}, {200, 384}, {40, 2049}, {3, 11008}};
  for (const auto &s : shapes) {
    const int64_t rows = s[0], hidden = s[1];
    const float eps = 1e-12f, scale = random.uniform(0.1f, 30), middle = random.uniform(-3, 3) * scale;
    std::vector<float> x = check::normals(random, rows * hidden, scale);
    for (float &v : x) v += middle;
    if (hidden == 2) x = {0.5f * scale, -scale};
    const std::vector<float> weight = check::normals(random, hidden), bias = check::normals(random, hidden),
                             dy = check::normals(random, rows * hidden);
    const Results expected = definition(rows, hidden, eps, {x.begin(), x.end()}, weight, bias);
    const std::vector<double> dx_expected = gradient(rows, hidden, expected, x, weight, dy);
    std::vector<float> first_y, first_dx;
    for (int32_t threads : {1, 2, 3}) {
      check::CpuStream stream(threads);
      std::vector<float> y(x.size(), NAN), mean(static_cast<size_t>(rows), NAN), rstd = mean, dx = y, in_place = x;
      CHECK_STATUS(VBL_OK, vbl_layernorm_forward(stream, VBL_FLOAT32, rows, hidden, eps, x.data(), weight.data(),
                                                 bias.data(), y.data(), mean.data(), rstd.data()));
      CHECK_STATUS(VBL_OK, vbl_layernorm_backward(stream, VBL_FLOAT32, rows, hidden, dy.data(), x.data(), weight.data(),
                                                  mean.data(), rstd.data(), dx.data()));
      // x - mean is off by half a unit of the mean, up to 3 standard deviations, and then some roundings follow.
      CHECK_NEAR(check::error(y, expected.y), 0, 4e-7);
      CHECK_NEAR(check::error(mean, expected.mean), 0, 6e-8);  // rounded once
      CHECK_NEAR(check::error(rstd, expected.rstd), 0, 6e-8);
      // Two elements leave one direction that the gradient is the small rest of.
      if (hidden > 2) CHECK_NEAR(check::error(dx, dx_expected), 0, 6e-7);
      if (threads == 1) first_y = y, first_dx = dx;
      CHECK(check::same_bits(y, first_y) && check::same_bits(dx, first_dx));
      CHECK_STATUS(VBL_OK, vbl_layernorm_forward(stream, VBL_FLOAT32, rows, hidden, eps, in_place.data(), weight.data(),
                                                 bias.data(), in_place.data(), mean.data(), rstd.data()));
      CHECK(check::same_bits(in_place, first_y));
      in_place = dy;
      CHECK_STATUS(VBL_OK, vbl_layernorm_backward(stream, VBL_FLOAT32, rows, hidden, in_place.data(), x.data(),
                                                  weight.data(), mean.data(), rstd.data(), in_place.data()));
      CHECK(check::same_bits(in_place, first_dx));
    }
  }
}

TEST(layernorm_gradient_equals_central_differences) {
  check::Random random(check::seed() + 1);
  const int64_t rows = 3, hidden = 19;
  const float eps = 1e-2f;
  const std::vector<float> x = check::normals(random, rows * hidden), weight = check::normals(random, hidden),
                           bias = check::normals(random, hidden), dy = check::normals(random, rows * hidden);
  check::CpuStream stream;
  std::vector<float> y(x.size()), mean(static_cast<size_t>(rows)), rstd = mean, dx(x.size(), NAN);
  CHECK_STATUS(VBL_OK, vbl_layernorm_forward(stream, VBL_FLOAT32, rows, hidden, eps, x.data(), weight.data(),
                                             bias.data(), y.data(), mean.data(), rstd.data()));
  CHECK_STATUS(VBL_OK, vbl_layernorm_backward(stream, VBL_FLOAT32, rows, hidden, dy.data(), x.data(), weight.data(),
                                              mean.data(), rstd.data(), dx.data()));
  std::vector<double> expected(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    double loss[2];
    for (int side : {0, 1}) {
      std::vector<double> moved(x.begin(), x.end());
      moved[i] += side ? 1e-5 : -1e-5;
      const std::vector<double> out = definition(rows, hidden, eps, moved, weight, bias).y;
      loss[side] = 0;
      for (size_t j = 0; j < out.size(); ++j) loss[side] += out[j] * dy[j];
    }
    expected[i] = (loss[1] - loss[0]) / 2e-5;
  }
  CHECK_NEAR(check::error(dx, expected), 0, 1e-6);
}

TEST(layernorm_of_equal_elements_is_the_bias) {
  check::CpuStream stream;
  const std::vector<float> x(10, 1e5f), weight(10, 3.0f), bias = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  std::vector<float> y(10), mean(1), rstd(1);
  CHECK_STATUS(VBL_OK, vbl_layernorm_forward(stream, VBL_FLOAT32, 1, 10, 1e-4f, x.data(), weight.data(), bias.data(),
                                             y.data(), mean.data(), rstd.data()));
  CHECK(y == bias && mean[0] == 1e5f && rstd[0] == 100);
}

TEST(layernorm_refuses_what_it_cannot_take) {
  check::CpuStream stream;
  float x[4] = {}, w[2] = {}, y[4], m[2] = {}, r[2] = {};
  CHECK_STATUS(VBL_OK, vbl_layernorm_forward(stream, VBL_FLOAT32, 2, 2, 1e-5f, x, w, w, y, m, r));
  CHECK_STATUS(VBL_OK,
               vbl_layernorm_forward(stream, VBL_FLOAT32, 0, 2, 1e-5f, nullptr, w, w, nullptr, nullptr, nullptr));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_layernorm_forward(stream, VBL_FLOAT32, -1, 2, 1e-5f, x, w, w, y, m, r));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_layernorm_forward(stream, VBL_FLOAT32, 2, 0, 1e-5f, x, w, w, y, m, r));
  for (float eps : {-1.0f, NAN, INFINITY})
    CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_layernorm_forward(stream, VBL_FLOAT32, 2, 2, eps, x, w, w, y, m, r));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_layernorm_forward(stream, VBL_FLOAT32, 2, 2, 1e-5f, nullptr, w, w, y, m, r));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_layernorm_forward(stream, VBL_FLOAT32, 2, 2, 1e-5f, x, nullptr, w, y, m, r));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_layernorm_forward(stream, VBL_FLOAT32, 2, 2, 1e-5f, x, w, nullptr, y, m, r));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_layernorm_forward(stream, VBL_FLOAT32, 2, 2, 1e-5f, x, w, w, nullptr, m, r));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_layernorm_forward(stream, VBL_FLOAT32, 2, 2, 1e-5f, x, w, w, y, nullptr, r));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_layernorm_forward(stream, VBL_FLOAT32, 2, 2, 1e-5f, x, w, w, y, m, nullptr));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_layernorm_forward(nullptr, VBL_FLOAT32, 2, 2, 1e-5f, x, w, w, y, m, r));
  CHECK_STATUS(VBL_OK, vbl_layernorm_backward(stream, VBL_FLOAT32, 2, 2, x, x, w, m, r, y));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_layernorm_backward(stream, VBL_FLOAT32, -1, 2, x, x, w, m, r, y));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_layernorm_backward(stream, VBL_FLOAT32, 2, 0, x, x, w, m, r, y));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_layernorm_backward(stream, VBL_FLOAT32, 2, 2, nullptr, x, w, m, r, y));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_layernorm_backward(stream, VBL_FLOAT32, 2, 2, x, nullptr, w, m, r, y));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_layernorm_backward(stream, VBL_FLOAT32, 2, 2, x, x, nullptr, m, r, y));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_layernorm_backward(stream, VBL_FLOAT32, 2, 2, x, x, w, nullptr, r, y));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_layernorm_backward(stream, VBL_FLOAT32, 2, 2, x, x, w, m, nullptr, y));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_layernorm_backward(stream, VBL_FLOAT32, 2, 2, x, x, w, m, r, nullptr));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_layernorm_backward(nullptr, VBL_FLOAT32, 2, 2, x, x, w, m, r, y));
}
