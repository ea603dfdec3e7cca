// silu(gate) · up and its gradient against their definition in float64, and central differences of that.
#include "arrays.h"

namespace {

double silu(double z) { return z / (1 + std::exp(-z)); }

}  // namespace

TEST(silu_mul_equals_its_definition_with_any_number_of_threads) {
  check::Random random(check::seed());
  for (int64_t n : {1, 15, 16, 37, 100003}) {
    std::vector<float> gate = check::normals(random, n, 5), up = check::normals(random, n),
                       dout = check::normals(random, n);
    if (n > 20) gate[3] = 100, gate[4] = -100, gate[5] = 0, gate[6] = -88.5f, gate[17] = 20;
    std::vector<double> out_expected, dgate_expected, dup_expected;
    for (size_t i = 0; i < gate.size(); ++i) {
      const double z = gate[i], h = 1e-5;
      out_expected.push_back(silu(z) * up[i]);
      dgate_expected.push_back((silu(z + h) - silu(z - h)) / (2 * h) * up[i] * dout[i]);
      dup_expected.push_back(silu(z) * dout[i]);
    }
    std::vector<float> first_out, first_dgate, first_dup;
    for (int32_t threads : {1, 2, 5}) {
      check::CpuStream stream(threads);
      std::vector<float> out(gate.size(), NAN), dgate = out, dup = out;
      CHECK_STATUS(VBL_OK, vbl_silu_mul_forward(stream, VBL_FLOAT32, 1, n, gate.data(), up.data(), 0, out.data(), 0));
      CHECK_STATUS(VBL_OK, vbl_silu_mul_backward(stream, VBL_FLOAT32, 1, n, gate.data(), up.data(), 0, dout.data(), 0,
                                                 dgate.data(), dup.data(), 0));
      CHECK_NEAR(check::error(out, out_expected), 0, 3e-7);
      CHECK_NEAR(check::error(dgate, dgate_expected), 0, 1e-6);
      CHECK_NEAR(check::error(dup, dup_expected), 0, 3e-7);
      if (threads == 1) first_out = out, first_dgate = dgate, first_dup = dup;
      CHECK(check::same_bits(out, first_out) && check::same_bits(dgate, first_dgate) &&
            check::same_bits(dup, first_dup));
      std::vector<float> in_place = dout;
      CHECK_STATUS(VBL_OK, vbl_silu_mul_backward(stream, VBL_FLOAT32, 1, n, gate.data(), up.data(), 0, in_place.data(),
                                                 0, in_place.data(), dup.data(), 0));
      CHECK(check::same_bits(in_place, first_dgate) && check::same_bits(dup, first_dup));
      in_place = dout;
      CHECK_STATUS(VBL_OK, vbl_silu_mul_backward(stream, VBL_FLOAT32, 1, n, gate.data(), up.data(), 0, in_place.data(),
                                                 0, dgate.data(), in_place.data(), 0));
      CHECK(check::same_bits(dgate, first_dgate) && check::same_bits(in_place, first_dup));
    }
  }
}

TEST(silu_mul_of_columns_of_wider_matrices_gives_the_same_bits) {
  check::Random random(check::seed() + 1);
  const int64_t shapes[][2] = {{1, 1}, {5, 37}, {600, 172}};
  for (const auto &s : shapes) {
    const int64_t rows = s[0], columns = s[1];
    const std::vector<float> gate = check::normals(random, rows * columns), up = check::normals(random, rows * columns),
                             dout = check::normals(random, rows * columns);
    check::CpuStream one(1);
    std::vector<float> out(gate.size()), dgate = out, dup = out;
    CHECK_STATUS(VBL_OK,
                 vbl_silu_mul_forward(one, VBL_FLOAT32, 1, rows * columns, gate.data(), up.data(), 0, out.data(), 0));
    CHECK_STATUS(VBL_OK, vbl_silu_mul_backward(one, VBL_FLOAT32, 1, rows * columns, gate.data(), up.data(), 0,
                                               dout.data(), 0, dgate.data(), dup.data(), 0));
    const int64_t ldg = 2 * columns + 1, ldout = columns + 1;
    const std::vector<float> gated = check::side_by_side(rows, {gate, up});
    for (int32_t threads : {1, 2, 5}) {
      check::CpuStream stream(threads);
      std::vector<float> wide(static_cast<size_t>(rows * ldout), NAN), dgated(gated.size(), NAN);
      CHECK_STATUS(VBL_OK, vbl_silu_mul_forward(stream, VBL_FLOAT32, rows, columns, gated.data(),
                                                gated.data() + columns, ldg, wide.data(), ldout));
      CHECK(check::same_bits(wide, check::side_by_side(rows, {out})));
      wide = check::side_by_side(rows, {dout});
      CHECK_STATUS(VBL_OK,
                   vbl_silu_mul_backward(stream, VBL_FLOAT32, rows, columns, gated.data(), gated.data() + columns, ldg,
                                         wide.data(), ldout, dgated.data(), dgated.data() + columns, ldg));
      CHECK(check::same_bits(dgated, check::side_by_side(rows, {dgate, dup})));
      dgated = check::side_by_side(rows, {dout, dout});  // in the place of its own gradient
      CHECK_STATUS(VBL_OK,
                   vbl_silu_mul_backward(stream, VBL_FLOAT32, rows, columns, gated.data(), gated.data() + columns, ldg,
                                         dgated.data(), ldg, dgated.data(), dgated.data() + columns, ldg));
      CHECK(check::same_bits(dgated, check::side_by_side(rows, {dgate, dup})));
    }
  }
}

TEST(silu_mul_refuses_what_it_cannot_take) {
  check::CpuStream stream;
  float v[2] = {}, o[4], p[4];
  CHECK_STATUS(VBL_OK, vbl_silu_mul_forward(stream, VBL_FLOAT32, 0, 2, nullptr, nullptr, 0, nullptr, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_silu_mul_forward(stream, VBL_FLOAT32, -1, 2, v, v, 0, o, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_silu_mul_forward(stream, VBL_FLOAT32, 1, -2, v, v, 0, o, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_silu_mul_forward(stream, VBL_FLOAT32, 1, 2, v, nullptr, 0, o, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_silu_mul_forward(stream, VBL_FLOAT32, 1, 2, v, v, 1, o, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_silu_mul_forward(stream, VBL_FLOAT32, 1, 2, v, v, 0, o, 1));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_silu_mul_forward(nullptr, VBL_FLOAT32, 1, 2, v, v, 0, o, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_silu_mul_backward(stream, VBL_FLOAT32, 1, 2, v, v, 0, nullptr, 0, o, p, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_silu_mul_backward(stream, VBL_FLOAT32, 1, 2, v, v, 0, v, 0, o, o, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_silu_mul_backward(stream, VBL_FLOAT32, 1, 2, v, v, 1, v, 0, o, p, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_silu_mul_backward(stream, VBL_FLOAT32, 1, 2, v, v, 0, v, 1, o, p, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_silu_mul_backward(stream, VBL_FLOAT32, 1, 2, v, v, 0, v, 0, o, p, 1));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_silu_mul_backward(stream, VBL_FLOAT32, 1, 2, v, v, 0, o, 3, o, p, 0));
}
