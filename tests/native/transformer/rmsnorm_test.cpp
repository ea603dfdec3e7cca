// RMSNorm against its definition in float64; its gradient also against central differences of that definition.
#include "arrays.h"

namespace {

std::vector<double> definition(int64_t rows, int64_t hidden, double eps, const std::vector<double> &x,
                               const std::vector<float> &weight, std::vector<double> *rstd = nullptr) {
  std::vector<double> y(x.size());
  for (int64_t i = 0; i < rows; ++i) {
    double mean = eps;
    for (int64_t j = 0; j < hidden; ++j)
      mean += std::pow(x[static_cast<size_t>(i * hidden + j)], 2) / static_cast<double>(hidden);
    if (rstd != nullptr) rstd->push_back(1 / std::sqrt(mean));
    for (int64_t j = 0; j < hidden; ++j)
      y[static_cast<size_t>(i * hidden + j)] =
          x[static_cast<size_t>(i * hidden + j)] / std::sqrt(mean) * weight[static_cast<size_t>(j)];
  }
  return y;
}

}  // namespace

TEST(rmsnorm_equals_its_definition_with_any_number_of_threads) {
  check::Random random(check::seed());
  const int64_t shapes[][2] = {{1, 1}, {5, 3}, {17, 64}, {33, 100}, {40, 2049}, {3, 11008}};
  for (const auto &s : shapes) {
    const int64_t rows = s[0], hidden = s[1];
    const float eps = 1e-5f, scale = random.uniform(0.01f, 30);
    const std::vector<float> x = check::normals(random, rows * hidden, scale), weight = check::normals(random, hidden),
                             dy = check::normals(random, rows * hidden),
                             before = check::normals(random, rows * hidden, 0.1f);
    const std::vector<double> wide(x.begin(), x.end());
    std::vector<double> rstd_expected;
    const std::vector<double> y_expected = definition(rows, hidden, eps, wide, weight, &rstd_expected);
    std::vector<double> dx_expected(before.begin(), before.end());
    for (size_t i = 0; i < static_cast<size_t>(rows); ++i) {
      double product = 0;
      const size_t at = i * static_cast<size_t>(hidden);
      for (size_t j = 0; j < static_cast<size_t>(hidden); ++j) product += 1.0 * dy[at + j] * weight[j] * x[at + j];
      for (size_t j = 0; j < static_cast<size_t>(hidden); ++j)
        dx_expected[at + j] += rstd_expected[i] * dy[at + j] * weight[j] -
                               x[at + j] * std::pow(rstd_expected[i], 3) * product / static_cast<double>(hidden);
    }
    std::vector<float> first_y, first_dx;
    for (int32_t threads : {1, 2, 5}) {
      check::CpuStream stream(threads);
      std::vector<float> y = x, rstd(static_cast<size_t>(rows), NAN), dx = before;  // y in place
      CHECK_STATUS(VBL_OK, vbl_rmsnorm_forward(stream, VBL_FLOAT32, rows, hidden, eps, y.data(), weight.data(),
                                               y.data(), rstd.data()));
      CHECK_STATUS(VBL_OK, vbl_rmsnorm_backward(stream, VBL_FLOAT32, rows, hidden, dy.data(), x.data(), weight.data(),
                                                rstd.data(), dx.data()));
      CHECK_NEAR(check::error(y, y_expected), 0, 2e-7);
      CHECK_NEAR(check::error(rstd, rstd_expected), 0, 6e-8);  // rounded once
      CHECK_NEAR(check::error(dx, dx_expected), 0, 3e-7);
      if (threads == 1) first_y = y, first_dx = dx;
      CHECK(check::same_bits(y, first_y) && check::same_bits(dx, first_dx));
    }
  }
}

TEST(rmsnorm_gradient_equals_central_differences) {
  check::Random random(check::seed() + 1);
  const int64_t rows = 3, hidden = 19;
  const std::vector<float> x = check::normals(random, rows * hidden), weight = check::normals(random, hidden),
                           dy = check::normals(random, rows * hidden);
  check::CpuStream stream;
  std::vector<float> y(x.size()), rstd(static_cast<size_t>(rows)), dx(x.size(), 0);
  CHECK_STATUS(VBL_OK, vbl_rmsnorm_forward(stream, VBL_FLOAT32, rows, hidden, 1e-2f, x.data(), weight.data(), y.data(),
                                           rstd.data()));
  CHECK_STATUS(VBL_OK, vbl_rmsnorm_backward(stream, VBL_FLOAT32, rows, hidden, dy.data(), x.data(), weight.data(),
                                            rstd.data(), dx.data()));
  std::vector<double> expected(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    double loss[2];
    for (int side : {0, 1}) {
      std::vector<double> moved(x.begin(), x.end());
      moved[i] += side ? 1e-5 : -1e-5;
      const std::vector<double> out = definition(rows, hidden, static_cast<double>(1e-2f), moved, weight);
      loss[side] = 0;
      for (size_t j = 0; j < out.size(); ++j) loss[side] += out[j] * dy[j];
    }
    expected[i] = (loss[1] - loss[0]) / 2e-5;
  }
  CHECK_NEAR(check::error(dx, expected), 0, 1e-6);
}

TEST(rmsnorm_refuses_what_it_cannot_take) {
  check::CpuStream stream;
  float x[4] = {}, w[2] = {}, y[4], rstd[2] = {};
  CHECK_STATUS(VBL_OK, vbl_rmsnorm_forward(stream, VBL_FLOAT32, 2, 2, 1e-5f, x, w, y, rstd));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_rmsnorm_forward(stream, VBL_FLOAT32, -1, 2, 1e-5f, x, w, y, rstd));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_rmsnorm_forward(stream, VBL_FLOAT32, 2, 0, 1e-5f, x, w, y, rstd));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_rmsnorm_forward(stream, VBL_FLOAT32, 2, 2, -1, x, w, y, rstd));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_rmsnorm_forward(stream, VBL_FLOAT32, 2, 2, NAN, x, w, y, rstd));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_rmsnorm_forward(stream, VBL_FLOAT32, 2, 2, 1e-5f, nullptr, w, y, rstd));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_rmsnorm_backward(stream, VBL_FLOAT32, 2, 2, x, x, w, nullptr, y));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_rmsnorm_backward(nullptr, VBL_FLOAT32, 2, 2, x, x, w, rstd, y));
}
