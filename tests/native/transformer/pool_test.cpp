// Pooling against its definition; padding holds NaN, so that reading it would show.
#include <cstring>

#include "arrays.h"

namespace {

struct Case {
  int64_t batch, length, hidden;
  std::vector<int32_t> lengths;
};

Case draw(check::Random &random, int64_t batch, int64_t length, int64_t hidden) {
  Case c{batch, length, hidden, {}};
  for (int64_t b = 0; b < batch; ++b) c.lengths.push_back(static_cast<int32_t>(random.between(1, length)));
  c.lengths[0] = static_cast<int32_t>(length);
  return c;
}

// The weight that token t of sequence b has in the pooled row.
double weight(int32_t pooling, const Case &c, int64_t b, int64_t t) {
  if (pooling == VBL_POOL_CLS) return t == 0;
  const int32_t length = c.lengths[static_cast<size_t>(b)];
  return t < length ? 1.0 / length : 0;
}

}  // namespace

TEST(pooling_equals_its_definition_with_any_number_of_threads) {
  check::Random random(check::seed());
  const int64_t shapes[][3] = {{1, 1, 1}, {3, 5, 7}, {32, 128, 384}, {17, 40, 65}, {2, 700, 130}};
  for (const auto &s : shapes)
    for (int32_t pooling : {VBL_POOL_CLS, VBL_POOL_MEAN}) {
      const Case c = draw(random, s[0], s[1], s[2]);
      std::vector<float> x = check::normals(random, c.batch * c.length * c.hidden);
      const std::vector<float> dout = check::normals(random, c.batch * c.hidden);
      std::vector<double> expected(dout.size()), dx_expected(x.size());
      for (int64_t b = 0; b < c.batch; ++b)
        for (int64_t t = 0; t < c.length; ++t)
          for (int64_t j = 0; j < c.hidden; ++j) {
            const size_t at = static_cast<size_t>((b * c.length + t) * c.hidden + j),
                         to = static_cast<size_t>(b * c.hidden + j);
            const double w = weight(pooling, c, b, t);
            if (w == 0) x[at] = NAN;
            if (w != 0) expected[to] += w * x[at];
            dx_expected[at] = w * dout[to];
          }
      std::vector<float> first_out, first_dx;
      for (int32_t threads : {1, 2, 3}) {
        check::CpuStream stream(threads);
        std::vector<float> out(dout.size(), NAN), dx(x.size(), NAN);
        CHECK_STATUS(VBL_OK, vbl_pool_forward(stream, pooling, c.batch, c.length, c.hidden, c.lengths.data(), x.data(),
                                              out.data()));
        CHECK_STATUS(VBL_OK, vbl_pool_backward(stream, pooling, c.batch, c.length, c.hidden, c.lengths.data(),
                                               dout.data(), dx.data()));
        CHECK_NEAR(check::error(out, expected), 0, 6e-8);    // rounded once
        CHECK_NEAR(check::error(dx, dx_expected), 0, 1.2e-7);  // twice: 1 / length, and its product
        if (threads == 1) first_out = out, first_dx = dx;
        CHECK(check::same_bits(out, first_out) && check::same_bits(dx, first_dx));
      }
    }
}

TEST(pooling_without_lengths_takes_all_tokens) {
  check::CpuStream stream;
  const float x[] = {1, 10, 3, 30, 5, 50, 7, 70};  // 2 sequences of 2 tokens of 2
  float out[4];
  CHECK_STATUS(VBL_OK, vbl_pool_forward(stream, VBL_POOL_MEAN, 2, 2, 2, nullptr, x, out));
  const float mean[] = {2, 20, 6, 60}, first[] = {1, 10, 5, 50};
  CHECK(std::memcmp(out, mean, sizeof out) == 0);
  CHECK_STATUS(VBL_OK, vbl_pool_forward(stream, VBL_POOL_CLS, 2, 2, 2, nullptr, x, out));
  CHECK(std::memcmp(out, first, sizeof out) == 0);
  float dx[8];
  CHECK_STATUS(VBL_OK, vbl_pool_backward(stream, VBL_POOL_MEAN, 2, 2, 2, nullptr, mean, dx));
  const float halves[] = {1, 10, 1, 10, 3, 30, 3, 30};
  CHECK(std::memcmp(dx, halves, sizeof dx) == 0);
}

TEST(pooling_refuses_what_it_cannot_take) {
  check::CpuStream stream;
  float x[8] = {}, out[4] = {};
  const int32_t lengths[2] = {2, 1};
  const auto both = [&](vbl_stream *on, int32_t pooling, int64_t batch, int64_t length, int64_t hidden,
                        const int32_t *lengths) {
    const vbl_status forward = vbl_pool_forward(on, pooling, batch, length, hidden, lengths, x, out);
    CHECK(vbl_pool_backward(on, pooling, batch, length, hidden, lengths, out, x) == forward);
    return forward;
  };
  CHECK_STATUS(VBL_OK, both(stream, VBL_POOL_MEAN, 2, 2, 2, lengths));
  CHECK_STATUS(VBL_OK, both(stream, VBL_POOL_CLS, 0, 2, 2, nullptr));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, both(stream, -1, 2, 2, 2, lengths));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, both(stream, 2, 2, 2, 2, lengths));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, both(stream, VBL_POOL_MEAN, -1, 2, 2, lengths));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, both(stream, VBL_POOL_MEAN, 2, 0, 2, nullptr));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, both(stream, VBL_POOL_MEAN, 2, 2, 0, lengths));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, both(nullptr, VBL_POOL_MEAN, 2, 2, 2, lengths));
  for (int32_t wrong : {0, 3, -1}) {
    const int32_t bad[2] = {2, wrong};
    CHECK_STATUS(VBL_INVALID_ARGUMENT, both(stream, VBL_POOL_CLS, 2, 2, 2, bad));
    CHECK(std::strstr(vbl_last_error(), "lengths[1]") != nullptr);
  }
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_pool_forward(stream, VBL_POOL_CLS, 2, 2, 2, lengths, nullptr, out));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_pool_forward(stream, VBL_POOL_CLS, 2, 2, 2, lengths, x, nullptr));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_pool_backward(stream, VBL_POOL_CLS, 2, 2, 2, lengths, nullptr, x));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_pool_backward(stream, VBL_POOL_CLS, 2, 2, 2, lengths, out, nullptr));
}
