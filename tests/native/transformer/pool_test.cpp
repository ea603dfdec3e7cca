// Pooling against its definition.
#include <cstring>

#include "arrays.h"

namespace {

struct Case {
  int64_t batch, hidden, tokens;
  std::vector<int32_t> starts;
};

Case draw(check::Random &random, int64_t batch, int64_t length, int64_t hidden) {
  Case c{batch, hidden, 0, {0}};
  for (int64_t b = 0; b < batch; ++b) {
    c.tokens += b == 0 ? length : random.between(0, length);
    c.starts.push_back(static_cast<int32_t>(c.tokens));
  }
  return c;
}

// The weight that a sequence's token t has in the pooled row.
double weight(int32_t pooling, int64_t t, int64_t length) {
  return pooling == VBL_POOL_CLS ? t == 0 : 1.0 / static_cast<double>(length);
}

}  // namespace

TEST(pooling_equals_its_definition_with_any_number_of_threads) {
  check::Random random(check::seed());
  const int64_t shapes[][3] = {{1, 1, 1}, {3, 5, 7}, {32, 128, 384}, {17, 40, 65}, {2, 700, 130}};
  for (const auto &s : shapes)
    for (int32_t pooling : {VBL_POOL_CLS, VBL_POOL_MEAN}) {
      const Case c = draw(random, s[0], s[1], s[2]);
      const std::vector<float> x = check::normals(random, c.tokens * c.hidden);
      const std::vector<float> dout = check::normals(random, c.batch * c.hidden);
      std::vector<double> expected(dout.size()), dx_expected(x.size());
      for (int64_t b = 0; b < c.batch; ++b) {
        const int64_t first = c.starts[static_cast<size_t>(b)], length = c.starts[static_cast<size_t>(b + 1)] - first;
        for (int64_t t = 0; t < length; ++t)
          for (int64_t j = 0; j < c.hidden; ++j) {
            const size_t at = static_cast<size_t>((first + t) * c.hidden + j),
                         to = static_cast<size_t>(b * c.hidden + j);
            expected[to] += weight(pooling, t, length) * x[at];
            dx_expected[at] = weight(pooling, t, length) * dout[to];
          }
      }
      std::vector<float> first_out, first_dx;
      for (int32_t threads : {1, 2, 3}) {
        check::CpuStream stream(threads);
        std::vector<float> out(dout.size(), NAN), dx(x.size(), NAN);
        CHECK_STATUS(VBL_OK, vbl_pool_forward(stream, VBL_FLOAT32, pooling, c.batch, c.tokens, c.hidden,
                                              c.starts.data(), x.data(), out.data()));
        CHECK_STATUS(VBL_OK, vbl_pool_backward(stream, VBL_FLOAT32, pooling, c.batch, c.tokens, c.hidden,
                                               c.starts.data(), dout.data(), dx.data()));
        CHECK_NEAR(check::error(out, expected), 0, 6e-8);      // rounded once
        CHECK_NEAR(check::error(dx, dx_expected), 0, 1.2e-7);  // twice: 1 / length, and its product
        if (threads == 1) first_out = out, first_dx = dx;
        CHECK(check::same_bits(out, first_out) && check::same_bits(dx, first_dx));
      }
    }
}

TEST(pooling_refuses_what_it_cannot_take) {
  check::CpuStream stream;
  float x[6] = {}, out[4] = {};
  const int32_t starts[] = {0, 2, 3};
  const auto both = [&](vbl_stream *on, int32_t pooling, int64_t batch, int64_t tokens, int64_t hidden,
                        const int32_t *starts) {
    const vbl_status forward = vbl_pool_forward(on, VBL_FLOAT32, pooling, batch, tokens, hidden, starts, x, out);
    CHECK(vbl_pool_backward(on, VBL_FLOAT32, pooling, batch, tokens, hidden, starts, out, x) == forward);
    return forward;
  };
  CHECK_STATUS(VBL_OK, both(stream, VBL_POOL_MEAN, 2, 3, 2, starts));
  CHECK_STATUS(VBL_OK, both(stream, VBL_POOL_CLS, 0, 0, 2, starts));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, both(stream, -1, 2, 3, 2, starts));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, both(stream, 2, 2, 3, 2, starts));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, both(stream, VBL_POOL_MEAN, -1, 3, 2, starts));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, both(stream, VBL_POOL_MEAN, 2, 3, 0, starts));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, both(stream, VBL_POOL_MEAN, 2, 3, 2, nullptr));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, both(nullptr, VBL_POOL_MEAN, 2, 3, 2, starts));
  for (int64_t tokens : {2, 4, -1}) {
    CHECK_STATUS(VBL_INVALID_ARGUMENT, both(stream, VBL_POOL_MEAN, 2, tokens, 2, starts));
    CHECK(std::strstr(vbl_last_error(), "starts[2]") != nullptr);
  }
  for (const std::vector<int32_t> &bad : {std::vector<int32_t>{1, 2, 3}, {0, 4, 3}, {0, -1, 3}}) {
    CHECK_STATUS(VBL_INVALID_ARGUMENT, both(stream, VBL_POOL_CLS, 2, 3, 2, bad.data()));
    CHECK(std::strstr(vbl_last_error(), "starts[") != nullptr);
  }
  CHECK_STATUS(VBL_INVALID_ARGUMENT,
               vbl_pool_forward(stream, VBL_FLOAT32, VBL_POOL_CLS, 2, 3, 2, starts, nullptr, out));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_pool_forward(stream, VBL_FLOAT32, VBL_POOL_CLS, 2, 3, 2, starts, x, nullptr));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_pool_backward(stream, VBL_FLOAT32, VBL_POOL_CLS, 2, 3, 2, starts, nullptr, x));
  CHECK_STATUS(VBL_INVALID_ARGUMENT,
               vbl_pool_backward(stream, VBL_FLOAT32, VBL_POOL_CLS, 2, 3, 2, starts, out, nullptr));
}
