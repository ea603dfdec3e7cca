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
      CHECK_STATUS(VBL_OK, vbl_silu_mul_forward(stream, n, gate.data(), up.data(), out.data()));
      CHECK_STATUS(VBL_OK,
                   vbl_silu_mul_backward(stream, n, gate.data(), up.data(), dout.data(), dgate.data(), dup.data()));
      CHECK_NEAR(check::error(out, out_expected), 0, 3e-7);
      CHECK_NEAR(check::error(dgate, dgate_expected), 0, 1e-6);
      CHECK_NEAR(check::error(dup, dup_expected), 0, 3e-7);
      if (threads == 1) first_out = out, first_dgate = dgate, first_dup = dup;
      CHECK(check::same_bits(out, first_out) && check::same_bits(dgate, first_dgate) &&
            check::same_bits(dup, first_dup));
      std::vector<float> in_place = dout;
      CHECK_STATUS(VBL_OK, vbl_silu_mul_backward(stream, n, gate.data(), up.data(), in_place.data(), in_place.data(),
                                                 dup.data()));
      CHECK(check::same_bits(in_place, first_dgate) && check::same_bits(dup, first_dup));
      in_place = dout;
      CHECK_STATUS(VBL_OK, vbl_silu_mul_backward(stream, n, gate.data(), up.data(), in_place.data(), dgate.data(),
                                                 in_place.data()));
      CHECK(check::same_bits(dgate, first_dgate) && check::same_bits(in_place, first_dup));
    }
  }
}

TEST(silu_mul_refuses_what_it_cannot_take) {
  check::CpuStream stream;
  float v[2] = {}, o[2], p[2];
  CHECK_STATUS(VBL_OK, vbl_silu_mul_forward(stream, 0, nullptr, nullptr, nullptr));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_silu_mul_forward(stream, -1, v, v, o));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_silu_mul_forward(stream, 2, v, nullptr, o));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_silu_mul_forward(nullptr, 2, v, v, o));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_silu_mul_backward(stream, 2, v, v, nullptr, o, p));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_silu_mul_backward(stream, 2, v, v, v, o, o));
}
