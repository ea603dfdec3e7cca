// The gradient of a norm's weight against its definition: sums in float64 from the first row on and one rounding, so
// the expected bits are known; and against central differences of the norms themselves.
#include "arrays.h"

TEST(the_gradient_of_a_norms_weight_is_summed_in_float64_from_the_first_row_on) {
  check::Random random(check::seed());
  const int64_t shapes[][2] = {{1, 1}, {7, 5}, {2000, 63}, {33, 1025}, {129, 128}, {3, 11008}};
  for (const auto &s : shapes) {
    const int64_t rows = s[0], hidden = s[1];
    const std::vector<float> x = check::normals(random, rows * hidden), dy = check::normals(random, rows * hidden),
                             mean = check::normals(random, rows), rstd = check::normals(random, rows),
                             before = check::normals(random, hidden);
    for (const bool has_mean : {false, true}) {
      std::vector<double> sums(before.size());
      for (size_t i = 0; i < x.size(); ++i) {
        const size_t row = i / before.size();
        const double middle = has_mean ? mean[row] : 0;
        sums[i % before.size()] += 1.0 * dy[i] * ((x[i] - middle) * rstd[row]);
      }
      std::vector<float> expected = before;
      for (size_t c = 0; c < expected.size(); ++c) expected[c] = static_cast<float>(expected[c] + sums[c]);
      for (int32_t threads : {1, 2, 3}) {
        check::CpuStream stream(threads);
        std::vector<float> dweight = before;
        CHECK_STATUS(VBL_OK, vbl_norm_weight_backward(stream, VBL_FLOAT32, rows, hidden, dy.data(), x.data(),
                                                      has_mean ? mean.data() : nullptr, rstd.data(), dweight.data()));
        CHECK(check::same_bits(dweight, expected));
      }
    }
  }
}

// A norm is linear in its weight: the difference of two outputs is exact but for their roundings.
TEST(the_gradient_of_a_norms_weight_is_what_the_norms_outputs_move_by) {
  check::Random random(check::seed() + 1);
  const int64_t rows = 6, hidden = 19;
  const std::vector<float> x = check::normals(random, rows * hidden), dy = check::normals(random, rows * hidden),
                           zeros(static_cast<size_t>(hidden));
  check::CpuStream stream;
  for (const bool layernorm : {false, true}) {
    std::vector<float> y(x.size()), mean(static_cast<size_t>(rows)), rstd = mean, dweight = zeros;
    const auto forward = [&](const std::vector<float> &weight) {
      CHECK_STATUS(VBL_OK, layernorm
                               ? vbl_layernorm_forward(stream, VBL_FLOAT32, rows, hidden, 1e-3f, x.data(),
                                                       weight.data(), zeros.data(), y.data(), mean.data(), rstd.data())
                               : vbl_rmsnorm_forward(stream, VBL_FLOAT32, rows, hidden, 1e-3f, x.data(), weight.data(),
                                                     y.data(), rstd.data()));
    };
    std::vector<double> expected;
    for (size_t c = 0; c < zeros.size(); ++c) {
      std::vector<float> weight = zeros;
      weight[c] = 1;
      forward(weight);
      expected.push_back(0);
      for (size_t i = 0; i < y.size(); ++i) expected.back() += 1.0 * y[i] * dy[i];
    }
    CHECK_STATUS(VBL_OK, vbl_norm_weight_backward(stream, VBL_FLOAT32, rows, hidden, dy.data(), x.data(),
                                                  layernorm ? mean.data() : nullptr, rstd.data(), dweight.data()));
    CHECK_NEAR(check::error(dweight, expected), 0, 3e-7);
  }
}

TEST(the_gradient_of_a_norms_weight_refuses_what_it_cannot_take) {
  check::CpuStream stream;
  float x[4] = {}, m[2] = {}, w[2] = {};
  CHECK_STATUS(VBL_OK, vbl_norm_weight_backward(stream, VBL_FLOAT32, 2, 2, x, x, m, m, w));
  CHECK_STATUS(VBL_OK, vbl_norm_weight_backward(stream, VBL_FLOAT32, 2, 2, x, x, nullptr, m, w));
  CHECK_STATUS(VBL_OK,
               vbl_norm_weight_backward(stream, VBL_FLOAT32, 0, 2, nullptr, nullptr, nullptr, nullptr, nullptr));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_norm_weight_backward(stream, VBL_FLOAT32, -1, 2, x, x, m, m, w));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_norm_weight_backward(stream, VBL_FLOAT32, 2, 0, x, x, m, m, w));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_norm_weight_backward(stream, VBL_FLOAT32, 2, 2, nullptr, x, m, m, w));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_norm_weight_backward(stream, VBL_FLOAT32, 2, 2, x, nullptr, m, m, w));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_norm_weight_backward(stream, VBL_FLOAT32, 2, 2, x, x, m, nullptr, w));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_norm_weight_backward(stream, VBL_FLOAT32, 2, 2, x, x, m, m, nullptr));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_norm_weight_backward(nullptr, VBL_FLOAT32, 2, 2, x, x, m, m, w));
}
