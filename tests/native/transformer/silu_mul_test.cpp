// silu(gate) · up and its gradient against their definition in float64, and central differences of that.
#include <algorithm>

#include "arrays.h"
#include "device.h"
#include "lowrank/stored.h"

namespace {

double silu(double z) { return z / (1 + std::exp(-z)); }

// Columns of a wider matrix on a device: `columns` elements of each row of ld, the first one `shift` elements behind a
// 16-byte boundary, and NaN between them.
class Columns {
 public:
  Columns(vbl_stream *stream, const check::Stored &values, int64_t rows, int64_t ld, int64_t shift, int32_t dtype)
      : rows_(rows), columns_(values.size() / rows), ld_(ld), dtype_(dtype),
        array_(check::Stored(widened(values.values()), dtype).on(stream, shift)) {}

  void *data() const { return array_.data(); }
  // The columns, once it is certain that there is still NaN between them.
  std::vector<float> get() const {
    const std::vector<float> wide = check::Stored(array_.get(), dtype_).values();
    std::vector<float> values;
    for (int64_t row = 0; row < rows_; ++row)
      for (int64_t column = 0; column < ld_; ++column) {
        const float value = wide[static_cast<size_t>(row * ld_ + column)];
        if (column < columns_)
          values.push_back(value);
        else
          CHECK(std::isnan(value));
      }
    return values;
  }

 private:
  std::vector<float> widened(const std::vector<float> &values) const {
    std::vector<float> wide(static_cast<size_t>(rows_ * ld_), NAN);
    for (int64_t row = 0; row < rows_; ++row)
      std::copy_n(values.begin() + row * columns_, columns_, wide.begin() + row * ld_);
    return wide;
  }

  int64_t rows_, columns_, ld_;
  int32_t dtype_;
  check::Array<unsigned char> array_;
};

// What one rounding to a type may change, as a share.
double rounding(int32_t dtype) { return dtype == VBL_FLOAT32 ? 0x1p-24 : dtype == VBL_BFLOAT16 ? 0x1p-8 : 0x1p-11; }

// The greatest error as a share of what is allowed for each number: a few roundings of float32 on the way, of terms as
// large as `magnitude`, one to the type, and half of the smallest float16.
double excess(const std::vector<float> &found, const std::vector<double> &expected,
              const std::vector<double> &magnitude, int32_t dtype) {
  double worst = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    const double allowed = 8 * 0x1p-24 * magnitude[i] + rounding(dtype) * std::fabs(expected[i]) +
                           (dtype == VBL_FLOAT16 ? 0x1p-25 : 0x1p-126);
    const double share = std::fabs(static_cast<double>(found[i]) - expected[i]) / allowed;
    if (!(share <= worst)) worst = std::isnan(share) ? INFINITY : share;
  }
  return worst;
}

}  // namespace

TEST(silu_mul_equals_its_definition_on_every_device_and_in_every_type) {
  struct Shape {
    int64_t rows, columns, ldg, ldout, shift;
  };
  const Shape shapes[] = {
      {1, 1, 1, 1, 0},          {1, 4096, 4096, 4096, 0},
      {3, 8, 8, 8, 0},  // one row, in one or several blocks
      {7, 24, 48, 24, 0},       {5, 4160, 8320, 4168, 0},
      {600, 16, 40, 16, 0},  // vectors, in rows that are apart
      {7, 24, 49, 24, 0},       {5, 1031, 2062, 1031, 0},
      {600, 13, 27, 14, 0},                          // leading dimensions or columns without
      {1, 4096, 4096, 4096, 1}, {9, 16, 32, 16, 3},  // addresses without
  };
  check::Random random(check::seed() + 2);
  for (const Shape &s : shapes) {
    const int64_t n = s.rows * s.columns;
    std::vector<float> gates = check::normals(random, n, 5);
    if (n > 20) gates[3] = 100, gates[4] = -100, gates[5] = 0, gates[6] = -88.5f, gates[17] = 20;
    const std::vector<float> ups = check::normals(random, n), douts = check::normals(random, n);
    check::for_each_device([&](vbl_stream *stream) {
      for (int32_t dtype : {VBL_FLOAT32, VBL_BFLOAT16, VBL_FLOAT16}) {
        if (dtype != VBL_FLOAT32 && vbl_stream_device(stream) == VBL_DEVICE_CPU) continue;
        const check::Stored gate(gates, dtype), up(ups, dtype), dout(douts, dtype);
        const std::vector<float> z = gate.values(), u = up.values(), d = dout.values();
        std::vector<double> out_expected, dgate_expected, dup_expected, out_magnitude, dgate_magnitude, dup_magnitude;
        for (size_t i = 0; i < z.size(); ++i) {
          const double value = z[i], sigmoid = 1 / (1 + std::exp(-value));
          out_expected.push_back(silu(value) * u[i]);
          dup_expected.push_back(silu(value) * d[i]);
          dgate_expected.push_back(double{d[i]} * u[i] * sigmoid * (1 + value * (1 - sigmoid)));
          out_magnitude.push_back(std::fabs(out_expected[i]));
          dup_magnitude.push_back(std::fabs(dup_expected[i]));
          dgate_magnitude.push_back(std::fabs(double{d[i]} * u[i] * sigmoid) * (1 + std::fabs(value)));
        }
        const auto columns = [&](const check::Stored &values, int64_t ld) {
          return Columns(stream, values, s.rows, ld, s.shift, dtype);
        };
        const check::Stored nothing(std::vector<float>(z.size(), NAN), dtype);
        const Columns own_gate = columns(gate, s.ldg), own_up = columns(up, s.ldg), own_dout = columns(dout, s.ldout);
        const Columns out = columns(nothing, s.ldout), dgate = columns(nothing, s.ldg), dup = columns(nothing, s.ldg);
        CHECK_STATUS(VBL_OK, vbl_silu_mul_forward(stream, dtype, s.rows, s.columns, own_gate.data(), own_up.data(),
                                                  s.ldg, out.data(), s.ldout));
        CHECK_STATUS(VBL_OK, vbl_silu_mul_backward(stream, dtype, s.rows, s.columns, own_gate.data(), own_up.data(),
                                                   s.ldg, own_dout.data(), s.ldout, dgate.data(), dup.data(), s.ldg));
        CHECK_NEAR(excess(out.get(), out_expected, out_magnitude, dtype), 0, 1);
        CHECK_NEAR(excess(dup.get(), dup_expected, dup_magnitude, dtype), 0, 1);
        CHECK_NEAR(excess(dgate.get(), dgate_expected, dgate_magnitude, dtype), 0, 1);
        CHECK(check::same_bits(own_gate.get(), z) && check::same_bits(own_up.get(), u) &&
              check::same_bits(own_dout.get(), d));
        // In the place of the gradient that it reads.
        const Columns in_place = columns(dout, s.ldg);
        const Columns other = columns(nothing, s.ldg);
        CHECK_STATUS(VBL_OK,
                     vbl_silu_mul_backward(stream, dtype, s.rows, s.columns, own_gate.data(), own_up.data(), s.ldg,
                                           in_place.data(), s.ldg, in_place.data(), other.data(), s.ldg));
        CHECK(check::same_bits(in_place.get(), dgate.get()) && check::same_bits(other.get(), dup.get()));
      }
    });
  }
}

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
  check::on_cuda([](vbl_stream *cuda) {
    check::Array<float> x(cuda, 4, 1.0f), y(cuda, 4, 2.0f);  // not touched
    CHECK_STATUS(VBL_INVALID_ARGUMENT,
                 vbl_silu_mul_forward(cuda, VBL_FLOAT32, int64_t{1} << 41, 1, x.data(), x.data(), 0, y.data(), 0));
    CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_silu_mul_forward(cuda, 3, 1, 1, x.data(), x.data(), 0, y.data(), 0));
    CHECK_STATUS(VBL_OK, vbl_silu_mul_forward(cuda, VBL_BFLOAT16, 0, 2, nullptr, nullptr, 0, nullptr, 0));
    CHECK((y.get() == std::vector<float>{2, 2, 2, 2}));
  });
}
