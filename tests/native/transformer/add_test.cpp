// Sums in place: one float32 addition each, so the expected bits are known.
#include "arrays.h"

TEST(add_and_add_bias_add_once_everywhere) {
  check::Random random(check::seed());
  const int64_t shapes[][2] = {{1, 1}, {7, 5}, {33, 1025}, {3, 40000}};
  for (const auto &s : shapes) {
    const int64_t rows = s[0], columns = s[1];
    const std::vector<float> x = check::normals(random, rows * columns), y = check::normals(random, rows * columns),
                             bias = check::normals(random, columns);
    std::vector<float> sum = y, biased = y;
    for (size_t i = 0; i < y.size(); ++i)
      sum[i] = y[i] + x[i], biased[i] = y[i] + bias[i % static_cast<size_t>(columns)];
    for (int32_t threads : {1, 2, 5}) {
      check::CpuStream stream(threads);
      std::vector<float> found = y;
      CHECK_STATUS(VBL_OK, vbl_add(stream, rows * columns, x.data(), found.data()));
      CHECK(check::same_bits(found, sum));
      found = y;
      CHECK_STATUS(VBL_OK, vbl_add_bias(stream, rows, columns, bias.data(), found.data()));
      CHECK(check::same_bits(found, biased));
    }
  }
}

TEST(add_and_add_bias_refuse_what_they_cannot_take) {
  check::CpuStream stream;
  float x[2] = {}, y[2] = {};
  CHECK_STATUS(VBL_OK, vbl_add(stream, 0, nullptr, nullptr));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_add(stream, -1, x, y));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_add(stream, 2, nullptr, y));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_add(nullptr, 2, x, y));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_add_bias(stream, -1, 2, x, y));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_add_bias(stream, 1, 2, x, nullptr));
}
