// Delta weights and merging, against their definition; roundings against the exact value.
#include <cmath>
#include <cstring>
#include <vector>

#include "arrays.h"
#include "device.h"
#include "lowrank/stored.h"

using check::Stored;

namespace {

struct Case {
  vbl_lowrank_update u;
  Stored a, bt;
};

Case make_case(check::Random &random, int64_t in, int64_t out, int32_t r, int32_t factor_dtype, bool fan_in_fan_out) {
  Case c;
  c.u = {in, out, r, factor_dtype, random.uniform(0.25f, 2), fan_in_fan_out};
  c.a = Stored(check::normals(random, r * in), factor_dtype);
  c.bt = Stored(check::normals(random, r * out), factor_dtype);
  return c;
}

// In the order that the header states, in float64.
std::vector<double> exact_delta(const Case &c) {
  const vbl_lowrank_update &u = c.u;
  const bool fan_in_fan_out = u.fan_in_fan_out != 0;
  const std::vector<float> a = c.a.values(), bt = c.bt.values();
  std::vector<double> delta(static_cast<size_t>(u.in_features * u.out_features));
  for (int64_t o = 0; o < u.out_features; ++o)
    for (int64_t i = 0; i < u.in_features; ++i) {
      double sum = 0;
      for (int64_t k = 0; k < u.r; ++k) {
        const double left = fan_in_fan_out ? a[k * u.in_features + i] : bt[k * u.out_features + o];
        const double right = fan_in_fan_out ? bt[k * u.out_features + o] : a[k * u.in_features + i];
        sum += u.scaling * left * right;
      }
      delta[fan_in_fan_out ? i * u.out_features + o : o * u.in_features + i] = sum;
    }
  return delta;
}

std::vector<float> delta_of(vbl_stream *stream, const Case &c, int64_t shift = 0) {
  const check::Array<unsigned char> a = c.a.on(stream, shift), bt = c.bt.on(stream, shift);
  check::Array<float> delta(stream, c.u.in_features * c.u.out_features, NAN, shift);
  CHECK_STATUS(VBL_OK, vbl_lowrank_delta(stream, &c.u, a.data(), bt.data(), delta.data()));
  return delta.get();
}

Stored merged(vbl_stream *stream, const Case &c, int32_t sign, const Stored &weight, int32_t dtype, int64_t shift = 0) {
  const check::Array<unsigned char> a = c.a.on(stream, shift), bt = c.bt.on(stream, shift),
                                    w = weight.on(stream, shift);
  CHECK_STATUS(VBL_OK, vbl_lowrank_merge(stream, &c.u, sign, a.data(), bt.data(), w.data(), dtype));
  return Stored(w.get(), dtype);
}

// x in a dtype of `bits` bits of significand and least exponent `least` of its numbers' last place, to nearest even.
double round_to(double x, int bits, int least) {
  if (x == 0) return x;
  const int place = std::max(std::ilogb(x) - bits + 1, least);
  return std::ldexp(std::nearbyint(std::ldexp(x, -place)), place);
}

double round_to(double x, int32_t dtype) {
  if (dtype == VBL_BFLOAT16) return round_to(x, 8, -133);
  if (dtype == VBL_FLOAT16) return round_to(x, 11, -24);
  return round_to(x, 24, -149);
}

const int64_t kShapes[][3] = {{1, 1, 1}, {300, 70, 4}, {129, 257, 3}, {33, 520, 6}, {600, 9, 17}};

}  // namespace

TEST(delta_equals_its_definition_to_the_bit) {
  check::for_each_device([](vbl_stream *stream) {
    check::Random random(check::seed());
    for (const auto &s : kShapes)
      for (const int32_t factor_dtype : {VBL_FLOAT32, VBL_BFLOAT16, VBL_FLOAT16})
        for (const bool fan_in_fan_out : {false, true}) {
          const Case c = make_case(random, s[0], s[1], static_cast<int32_t>(s[2]), factor_dtype, fan_in_fan_out);
          const std::vector<double> exact = exact_delta(c);
          const std::vector<float> expected(exact.begin(), exact.end());
          CHECK(check::same_bits(expected, delta_of(stream, c)));
          CHECK(check::same_bits(expected, delta_of(stream, c, 1)));
        }
  });
}

TEST(merging_rounds_each_weight_once) {
  check::for_each_device([](vbl_stream *stream) {
    check::Random random(check::seed() + 1);
    for (const auto &s : kShapes)
      for (const int32_t dtype : {VBL_FLOAT32, VBL_BFLOAT16, VBL_FLOAT16})
        for (const int32_t sign : {1, -1}) {
          const Case c = make_case(random, s[0], s[1], static_cast<int32_t>(s[2]), random.between(0, 2), sign < 0);
          const Stored weight(check::normals(random, s[0] * s[1]), dtype);
          const std::vector<double> delta = exact_delta(c);
          std::vector<float> expected = weight.values();
          for (size_t i = 0; i < expected.size(); ++i)
            expected[i] = static_cast<float>(round_to(expected[i] + sign * delta[i], dtype));
          CHECK(check::same_bits(expected, merged(stream, c, sign, weight, dtype).values()));
          CHECK(check::same_bits(expected, merged(stream, c, sign, weight, dtype, 1).values()));
        }
  });
}

// Sums so near the middle between two numbers of the dtype that rounding to float32 first would go the wrong way;
// zeros, numbers below the least normal one, overflow and NaN.
TEST(merging_does_not_round_twice) {
  check::for_each_device([](vbl_stream *stream) {
    const auto sum = [&](double weight, double b, int32_t dtype) {
      // b comes from two ranks: more digits than a float32 has.
      const float high = static_cast<float>(b), low = static_cast<float>(b - high);
      Case c;
      c.u = {1, 1, 2, VBL_FLOAT32, 1, 0};
      c.a = Stored(std::vector<float>{1, 1}, VBL_FLOAT32);
      c.bt = Stored(std::vector<float>{high, low}, VBL_FLOAT32);
      const Stored before(std::vector<float>{static_cast<float>(weight)}, dtype);
      return merged(stream, c, 1, before, dtype).values()[0];
    };
    for (const int32_t dtype : {VBL_BFLOAT16, VBL_FLOAT16}) {
      const double half = dtype == VBL_BFLOAT16 ? 0x1p-8 : 0x1p-11, last = 2 * half;  // of 1's last place
      CHECK(sum(1, half, dtype) == 1);                                                // to even
      CHECK(sum(1, half + 0x1p-40, dtype) == 1 + last);                               // float32 sees 1 + half
      CHECK(sum(1 + last, half, dtype) == 1 + 2 * last);                              // to even
      CHECK(sum(1 + last, half - 0x1p-40, dtype) == 1 + last);
      CHECK(sum(-1, -half - 0x1p-40, dtype) == -1 - last);
      CHECK(sum(1, -1, dtype) == 0);
      CHECK(std::isinf(sum(1, dtype == VBL_BFLOAT16 ? 3.4e38 : 65520, dtype)));
      CHECK(std::isnan(sum(NAN, 1, dtype)));
    }
    CHECK(sum(0, 0x1.8p-24 + 0x1p-60, VBL_FLOAT16) == 0x1p-23f);
    CHECK(sum(0, 0x1.8p-24 - 0x1p-60, VBL_FLOAT16) == 0x1p-24f);
    CHECK(sum(65504, 15.9999999, VBL_FLOAT16) == 65504);
  });
}

TEST(taking_an_update_out_gives_the_weights_back) {
  check::for_each_device([](vbl_stream *stream) {
    check::Random random(check::seed() + 2);
    for (const int32_t dtype : {VBL_FLOAT32, VBL_BFLOAT16, VBL_FLOAT16})
      for (const bool fan_in_fan_out : {false, true}) {
        const Case c = make_case(random, 140, 90, 4, VBL_FLOAT32, fan_in_fan_out);
        const Stored weight(check::normals(random, 140 * 90), dtype);
        const Stored with = merged(stream, c, 1, weight, dtype);
        const std::vector<float> before = weight.values(), between = with.values(),
                                 after = merged(stream, c, -1, with, dtype).values();
        // Two roundings, of the merged weight and of the one given back.
        const double unit = dtype == VBL_BFLOAT16 ? 0x1p-8 : dtype == VBL_FLOAT16 ? 0x1p-11 : 0x1p-24;
        int64_t changed = 0;
        for (size_t i = 0; i < before.size(); ++i) {
          CHECK_NEAR(after[i], before[i], unit * (std::fabs(between[i]) + std::fabs(after[i])) + 1e-7);
          changed += between[i] != before[i];
        }
        CHECK(changed > static_cast<int64_t>(before.size()) * 9 / 10);
      }
  });
}

TEST(updates_refuse_what_they_cannot_take) {
  check::for_each_device([](vbl_stream *stream) {
    check::Array<float> v(stream, 4, 0), w(stream, 4, 0);
    const vbl_lowrank_update good = {2, 2, 1, VBL_FLOAT32, 1, 0};
    const vbl_status invalid = VBL_INVALID_ARGUMENT;
    const auto delta = [&](const vbl_lowrank_update &u) {
      return vbl_lowrank_delta(stream, &u, v.data(), v.data(), w.data());
    };
    const auto merge = [&](const vbl_lowrank_update &u, int32_t sign, int32_t dtype) {
      return vbl_lowrank_merge(stream, &u, sign, v.data(), v.data(), w.data(), dtype);
    };
    CHECK_STATUS(VBL_OK, delta(good));
    CHECK_STATUS(VBL_OK, merge(good, 1, VBL_FLOAT32));
    const auto refused = [&](const char *word, auto change) {
      vbl_lowrank_update u = good;
      change(u);
      CHECK_STATUS(invalid, delta(u));
      CHECK(std::strstr(vbl_last_error(), word) != nullptr);
      CHECK_STATUS(invalid, merge(u, 1, VBL_FLOAT32));
    };
    refused("r must", [](vbl_lowrank_update &u) { u.r = 0; });
    refused("in_features", [](vbl_lowrank_update &u) { u.in_features = 0; });
    refused("out_features", [](vbl_lowrank_update &u) { u.out_features = -1; });
    refused("scaling", [](vbl_lowrank_update &u) { u.scaling = NAN; });
    refused("factor_dtype", [](vbl_lowrank_update &u) { u.factor_dtype = 9; });
    CHECK_STATUS(invalid, merge(good, 0, VBL_FLOAT32));
    CHECK(std::strstr(vbl_last_error(), "sign") != nullptr);
    CHECK_STATUS(invalid, merge(good, 1, 3));
    CHECK(std::strstr(vbl_last_error(), "weight_dtype") != nullptr);
    CHECK_STATUS(invalid, vbl_lowrank_delta(nullptr, &good, v.data(), v.data(), w.data()));
    CHECK_STATUS(invalid, vbl_lowrank_delta(stream, nullptr, v.data(), v.data(), w.data()));
    CHECK_STATUS(invalid, vbl_lowrank_delta(stream, &good, nullptr, v.data(), w.data()));
    CHECK_STATUS(invalid, vbl_lowrank_delta(stream, &good, v.data(), nullptr, w.data()));
    CHECK_STATUS(invalid, vbl_lowrank_delta(stream, &good, v.data(), v.data(), nullptr));
    CHECK_STATUS(invalid, vbl_lowrank_merge(stream, &good, 1, v.data(), v.data(), nullptr, VBL_FLOAT32));
  });
}
