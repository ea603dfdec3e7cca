// vbl_convert against the definition of the dtypes.
#include <cmath>
#include <cstring>
#include <vector>

#include "device.h"

namespace {

// Conversions by the definition: the nearest representable value, ties to the even pattern, found by search.
float half_value(uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double sign = bits >> 15 ? -1 : 1;
  if (exponent == 31) return static_cast<float>(fraction ? NAN : sign * INFINITY);
  return static_cast<float>(sign * (exponent ? std::ldexp(1024 + fraction, exponent - 25) : std::ldexp(fraction, -24)));
}

uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

float float_of(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

bool is_nan16(uint16_t bits, int32_t dtype) { return (bits & 0x7fff) > (dtype == VBL_FLOAT16 ? 0x7c00 : 0x7f80); }

template <typename To, typename From>
std::vector<To> convert(vbl_stream *stream, const std::vector<From> &values, int32_t from, int32_t to,
                        int64_t from_shift = 0, int64_t to_shift = 0) {
  const check::Array<From> source(stream, values, from_shift);
  const check::Array<To> destination(stream, source.size(), To(77), to_shift);
  CHECK_STATUS(VBL_OK, vbl_convert(stream, source.size(), source.data(), from, destination.data(), to));
  return destination.get();
}

// Any bits, NaN and infinities among them; more than a block of threads converts.
std::vector<uint16_t> any_bits(check::Random &random, int64_t n) {
  std::vector<uint16_t> bits(static_cast<size_t>(n));
  for (uint16_t &x : bits) x = static_cast<uint16_t>(random.next());
  return bits;
}

}  // namespace

TEST(every_float16_widens_exactly_and_narrows_back) {
  check::for_each_device([](vbl_stream *stream) {
    std::vector<uint16_t> half(65536);
    for (int i = 0; i < 65536; ++i) half[i] = static_cast<uint16_t>(i);
    const std::vector<float> wide = convert<float>(stream, half, VBL_FLOAT16, VBL_FLOAT32);
    const std::vector<uint16_t> back = convert<uint16_t>(stream, wide, VBL_FLOAT32, VBL_FLOAT16);
    for (int i = 0; i < 65536; ++i) {
      const float expected = half_value(half[i]);
      if (std::isnan(expected)) {
        CHECK(std::isnan(wide[i]) && std::isnan(half_value(back[i])));
      } else {
        CHECK(bits_of(wide[i]) == bits_of(expected) && back[i] == half[i]);
      }
    }
  });
}

TEST(narrowing_rounds_to_nearest_even) {
  check::for_each_device([](vbl_stream *stream) {
    std::vector<float> value;
    for (int i = 0; i < 0x7c00; ++i) {  // around every midpoint between neighbouring float16 numbers
      const float low = half_value(static_cast<uint16_t>(i));
      const float high = i + 1 == 0x7c00 ? 65536.0f : half_value(static_cast<uint16_t>(i + 1));
      const float middle = (low + high) / 2;
      value.insert(value.end(), {middle, std::nextafter(middle, 0.0f), std::nextafter(middle, INFINITY)});
    }
    const std::vector<uint16_t> half = convert<uint16_t>(stream, value, VBL_FLOAT32, VBL_FLOAT16);
    for (int i = 0; i < 0x7c00; ++i) {
      CHECK(half[3 * i] == i + (i & 1));
      CHECK(half[3 * i + 1] == i);
      CHECK(half[3 * i + 2] == i + 1);
    }

    check::Random random(check::seed());
    std::vector<float> any(4099);
    for (float &x : any) x = float_of(static_cast<uint32_t>(random.next()));
    any[0] = float_of(0x3f808000), any[1] = float_of(0x3f818000), any[2] = NAN, any[3] = -INFINITY;
    any[4] = float_of(0x7f7fffff);
    const std::vector<uint16_t> brain = convert<uint16_t>(stream, any, VBL_FLOAT32, VBL_BFLOAT16);
    for (size_t i = 0; i < any.size(); ++i) {
      const uint32_t bits = bits_of(any[i]), low = bits >> 16, rest = bits & 0xffff;
      const uint32_t expected = low + (rest > 0x8000 || (rest == 0x8000 && (low & 1)) ? 1 : 0);
      if (std::isnan(any[i])) {
        CHECK(is_nan16(brain[i], VBL_BFLOAT16));
      } else {
        CHECK(brain[i] == expected);
      }
    }
  });
}

// Through float32, which holds both exactly; NaN keeps being one, with whatever sign and bits.
TEST(bfloat16_and_float16_convert_into_each_other) {
  check::for_each_device([](vbl_stream *stream) {
    check::Random random(check::seed());
    for (const int32_t from : {VBL_BFLOAT16, VBL_FLOAT16}) {
      const int32_t to = from == VBL_BFLOAT16 ? VBL_FLOAT16 : VBL_BFLOAT16;
      const std::vector<uint16_t> source = any_bits(random, 9001);
      const std::vector<float> wide = convert<float>(stream, source, from, VBL_FLOAT32);
      const std::vector<uint16_t> expected = convert<uint16_t>(stream, wide, VBL_FLOAT32, to);
      const std::vector<uint16_t> found = convert<uint16_t>(stream, source, from, to);
      for (size_t i = 0; i < source.size(); ++i) {
        const bool nan = is_nan16(source[i], from);
        CHECK(nan == static_cast<bool>(std::isnan(wide[i])));
        CHECK(nan ? is_nan16(found[i], to) : found[i] == expected[i]);
      }
    }
  });
}

TEST(any_length_and_address_converts_alike) {
  check::for_each_device([](vbl_stream *stream) {
    check::Random random(check::seed());
    for (const int64_t n : {1, 3, 4, 5, 1023, 1024, 4095, 4097, 8195}) {
      std::vector<float> value(static_cast<size_t>(n));
      for (float &x : value) x = random.normal();
      for (const int32_t dtype : {VBL_BFLOAT16, VBL_FLOAT16}) {
        const std::vector<uint16_t> narrow = convert<uint16_t>(stream, value, VBL_FLOAT32, dtype);
        const std::vector<float> wide = convert<float>(stream, narrow, dtype, VBL_FLOAT32);
        for (int64_t i = 0; i < n; ++i) CHECK_NEAR(wide[i], value[i], (dtype == VBL_FLOAT16 ? 0x1p-11 : 0x1p-8) * 8);
        for (const int64_t shift : {1, 2}) {
          CHECK(convert<uint16_t>(stream, value, VBL_FLOAT32, dtype, shift) == narrow);
          CHECK(convert<uint16_t>(stream, value, VBL_FLOAT32, dtype, 0, shift) == narrow);
          CHECK(convert<float>(stream, narrow, dtype, VBL_FLOAT32, shift, 4 - shift) == wide);
        }
        CHECK(convert<uint16_t>(stream, narrow, dtype, dtype, 1, 0) == narrow);
      }
      CHECK(convert<float>(stream, value, VBL_FLOAT32, VBL_FLOAT32, 0, 1) == value);
    }
  });
}
