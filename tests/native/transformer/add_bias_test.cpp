// A bias: one float32 addition each, or one rounding of a sum in float64, so the expected bits are known.
#include "arrays.h"

TEST(a_bias_is_added_once_everywhere) {
  check::Random random(check::seed());
  const int64_t shapes[][2] = {{1, 1}, {7, 5}, {33, 1025}, {3, 40000}};
  for (const auto &s : shapes) {
    const int64_t rows = s[0], columns = s[1];
    const std::vector<float> y = check::normals(random, rows * columns), bias = check::normals(random, columns);
    std::vector<float> biased = y;
    for (size_t i = 0; i < y.size(); ++i) biased[i] += bias[i % static_cast<size_t>(columns)];
    for (int32_t threads : {1, 2, 5}) {
      check::CpuStream stream(threads);
      std::vector<float> found = y;
      CHECK_STATUS(VBL_OK, vbl_add_bias(stream, VBL_FLOAT32, rows, columns, bias.data(), found.data(), 0));
      CHECK(check::same_bits(found, biased));
      std::vector<float> wide = check::side_by_side(rows, {y, y});  // the second stays as it is
      CHECK_STATUS(VBL_OK, vbl_add_bias(stream, VBL_FLOAT32, rows, columns, bias.data(), wide.data(), 2 * columns + 1));
      CHECK(check::same_bits(wide, check::side_by_side(rows, {biased, y})));
    }
  }
}

TEST(the_gradient_of_a_bias_is_summed_in_float64_from_the_first_row_on) {
  check::Random random(check::seed() + 1);
  const int64_t shapes[][2] = {{1, 1}, {7, 5}, {2000, 63}, {33, 1025}, {129, 128}};
  for (const auto &s : shapes) {
    const int64_t rows = s[0], columns = s[1];
    std::vector<float> dy = check::normals(random, rows * columns);
    const std::vector<float> before = check::normals(random, columns);
    if (rows == 7) dy[0] = 1e30f, dy[static_cast<size_t>(columns)] = -1e30f;
    std::vector<double> sums(before.size());
    for (size_t i = 0; i < dy.size(); ++i) sums[i % before.size()] += dy[i];
    std::vector<float> expected = before;
    for (size_t c = 0; c < expected.size(); ++c) expected[c] = static_cast<float>(expected[c] + sums[c]);
    for (int32_t threads : {1, 2, 3}) {
      check::CpuStream stream(threads);
      std::vector<float> dbias = before;
      CHECK_STATUS(VBL_OK, vbl_add_bias_backward(stream, VBL_FLOAT32, rows, columns, dy.data(), 0, dbias.data()));
      CHECK(check::same_bits(dbias, expected));
      const std::vector<float> wide = check::side_by_side(rows, {dy});
      dbias = before;
      CHECK_STATUS(VBL_OK,
                   vbl_add_bias_backward(stream, VBL_FLOAT32, rows, columns, wide.data(), columns + 1, dbias.data()));
      CHECK(check::same_bits(dbias, expected));
    }
  }
}

TEST(biases_refuse_what_they_cannot_take) {
  check::CpuStream stream;
  float x[2] = {}, y[2] = {};
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_add_bias(nullptr, VBL_FLOAT32, 1, 2, x, y, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_add_bias(stream, VBL_FLOAT32, -1, 2, x, y, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_add_bias(stream, VBL_FLOAT32, 1, 2, x, nullptr, 0));
  CHECK_STATUS(VBL_OK, vbl_add_bias_backward(stream, VBL_FLOAT32, 0, 2, nullptr, 0, y));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_add_bias_backward(stream, VBL_FLOAT32, 1, -1, x, 0, y));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_add_bias_backward(stream, VBL_FLOAT32, -1, 2, x, 0, y));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_add_bias_backward(stream, VBL_FLOAT32, 1, 2, nullptr, 0, y));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_add_bias_backward(stream, VBL_FLOAT32, 1, 2, x, 0, nullptr));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_add_bias_backward(nullptr, VBL_FLOAT32, 1, 2, x, 0, y));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_add_bias(stream, VBL_FLOAT32, 1, 2, x, y, 1));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_add_bias_backward(stream, VBL_FLOAT32, 1, 2, x, 1, y));
}
