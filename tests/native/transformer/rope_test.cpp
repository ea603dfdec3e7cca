// Rotary embedding against x cos + rotate_half(x) sin in float64.
#include "arrays.h"

TEST(rope_rotates_as_rotate_half_and_back) {
  check::Random random(check::seed());
  const int32_t shapes[][3] = {{1, 1, 2}, {9, 3, 8}, {70, 4, 6}, {40, 8, 128}};
  for (const auto &s : shapes) {
    const int64_t tokens = s[0], heads = s[1], dim = s[2], half = dim / 2, positions = 23;
    std::vector<float> cos, sin;
    for (int64_t p = 0; p < positions; ++p)
      for (int64_t i = 0; i < half; ++i) {
        const double angle =
            static_cast<double>(p) * std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(dim));
        cos.push_back(static_cast<float>(std::cos(angle)));
        sin.push_back(static_cast<float>(std::sin(angle)));
      }
    std::vector<int32_t> position(static_cast<size_t>(tokens));
    for (int32_t &p : position) p = static_cast<int32_t>(random.between(0, positions - 1));
    const std::vector<float> x = check::normals(random, tokens * heads * dim);
    std::vector<double> expected(x.size());
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t h = 0; h < heads; ++h)
        for (int64_t i = 0; i < dim; ++i) {
          const size_t at = static_cast<size_t>((t * heads + h) * dim);
          const size_t angle = static_cast<size_t>(position[static_cast<size_t>(t)] * half + i % half);
          const double rotated =
              i < half ? -x[at + static_cast<size_t>(i + half)] : x[at + static_cast<size_t>(i - half)];
          expected[at + static_cast<size_t>(i)] =
              1.0 * x[at + static_cast<size_t>(i)] * cos[angle] + rotated * sin[angle];
        }
    std::vector<float> first;
    for (int32_t threads : {1, 2, 5}) {
      check::CpuStream stream(threads);
      std::vector<float> y = x;
      const auto rope = [&](int32_t inverse) {
        return vbl_rope(stream, VBL_FLOAT32, tokens, s[1], s[2], position.data(), cos.data(), sin.data(), inverse,
                        y.data(), 0);
      };
      CHECK_STATUS(VBL_OK, rope(0));
      CHECK_NEAR(check::error(y, expected), 0, 2e-7);
      if (threads == 1) first = y;
      CHECK(check::same_bits(y, first));
      // Two matrices side by side, of which the second stays as it is.
      std::vector<float> wide = check::side_by_side(tokens, {x, x});
      CHECK_STATUS(VBL_OK, vbl_rope(stream, VBL_FLOAT32, tokens, s[1], s[2], position.data(), cos.data(), sin.data(), 0,
                                    wide.data(), 2 * heads * dim + 1));
      CHECK(check::same_bits(wide, check::side_by_side(tokens, {first, x})));
      CHECK_STATUS(VBL_OK, rope(1));
      CHECK_NEAR(check::error(y, std::vector<double>(x.begin(), x.end())), 0, 4e-7);
    }
  }
}

TEST(rope_refuses_what_it_cannot_take) {
  check::CpuStream stream;
  float x[4] = {}, c[2] = {}, s[2] = {};
  int32_t positions[1] = {0};
  CHECK_STATUS(VBL_OK, vbl_rope(stream, VBL_FLOAT32, 1, 1, 4, positions, c, s, 0, x, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_rope(stream, VBL_FLOAT32, 1, 1, 3, positions, c, s, 0, x, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_rope(stream, VBL_FLOAT32, 1, 1, 0, positions, c, s, 0, x, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_rope(stream, VBL_FLOAT32, 1, 0, 4, positions, c, s, 0, x, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_rope(stream, VBL_FLOAT32, -1, 1, 4, positions, c, s, 0, x, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_rope(stream, VBL_FLOAT32, 1, 1, 4, positions, c, s, 2, x, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_rope(stream, VBL_FLOAT32, 1, 1, 4, nullptr, c, s, 0, x, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_rope(nullptr, VBL_FLOAT32, 1, 1, 4, positions, c, s, 0, x, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_rope(stream, VBL_FLOAT32, 1, 1, 4, positions, c, s, 0, x, 3));
  positions[0] = -1;
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_rope(stream, VBL_FLOAT32, 1, 1, 4, positions, c, s, 0, x, 0));
}
