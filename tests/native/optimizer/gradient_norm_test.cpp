// vbl_sum_squares and vbl_clip, on every device.
#include "admixture/reference.h"
#include "device.h"

namespace {

double sum_squares(vbl_stream *stream, const std::vector<float> &x, double sum = 0, int64_t shift = 0) {
  const int64_t n = static_cast<int64_t>(x.size()), bytes = vbl_sum_squares_scratch_bytes(stream, n);
  const check::Array<float> values(stream, x, shift);
  const check::Array<double> total(stream, std::vector<double>{sum});
  const check::Array<char> scratch(stream, bytes, -1);
  CHECK_STATUS(VBL_OK, vbl_sum_squares(stream, n, values.data(), total.data(), scratch.data(), bytes));
  return total.get()[0];
}

}  // namespace

TEST(sums_squares_in_float64) {
  check::for_each_device([](vbl_stream *stream) {
    check::Random random(check::seed());
    // The last one has more partial sums than the block that adds them has threads.
    for (const int64_t n : {1, 2, 31, 32, 33, 1000, 4097, 65536, 65537, 300001, 257 * 4096 + 1}) {
      const std::vector<float> x = check::normals(random, n, 100.0f);
      long double exact = 0;
      for (const float value : x) exact += static_cast<long double>(value) * value;
      const double found = sum_squares(stream, x);
      CHECK_NEAR(found, static_cast<double>(exact), 1e-13 * static_cast<double>(exact));
      CHECK(found == sum_squares(stream, x, 0, n % 4));     // in an order of its own
      CHECK(sum_squares(stream, x, 12.5) == 12.5 + found);  // adds to what is there
    }
    CHECK(sum_squares(stream, {3e38f, 1e-40f}) == double{3e38f} * 3e38f);  // neither overflows nor underflows
    CHECK(std::isnan(sum_squares(stream, {1, NAN, 2})));
    const check::Array<double> sum(stream, std::vector<double>{7});
    CHECK_STATUS(VBL_OK, vbl_sum_squares(stream, 0, nullptr, sum.data(), nullptr, 0));
    CHECK(sum.get()[0] == 7);
  });
}

TEST(sum_squares_does_not_depend_on_threads) {
  check::Random random(check::seed());
  const std::vector<float> x = check::normals(random, 300001, 100.0f);
  const double found = sum_squares(check::CpuStream(1), x);
  CHECK(found == sum_squares(check::CpuStream(2), x) && found == sum_squares(check::CpuStream(5), x));
}

TEST(sum_squares_refuses_bad_arguments) {
  check::CpuStream stream;
  const float x[3] = {1, 2, 3};
  double sum = 0;
  char scratch[256];
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_sum_squares(nullptr, 3, x, &sum, scratch, 256));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_sum_squares(stream, -1, x, &sum, scratch, 256));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_sum_squares(stream, 3, nullptr, &sum, scratch, 256));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_sum_squares(stream, 3, x, nullptr, scratch, 256));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_sum_squares(stream, 3, x, &sum, nullptr, 256));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_sum_squares(stream, 3, x, &sum, scratch, 7));
  CHECK(vbl_sum_squares_scratch_bytes(stream, -1) == -1 && vbl_sum_squares_scratch_bytes(nullptr, 3) == -1);
  CHECK(sum == 0);
}

TEST(clips_as_clip_grad_norm_does) {
  check::for_each_device([](vbl_stream *stream) {
    const auto clip = [&](double sum, float scale, float max_norm) {
      vbl_step step = {};
      step.gradient_scale = scale;
      step.clip_factor = step.gradient_norm = 99;
      const check::Array<double> of(stream, std::vector<double>{sum});
      const check::Array<vbl_step> steps(stream, std::vector<vbl_step>{step});
      CHECK_STATUS(VBL_OK, vbl_clip(stream, of.data(), max_norm, steps.data()));
      step = steps.get()[0];
      CHECK(step.gradient_scale == scale);
      return step;
    };
    CHECK(clip(25, 1, 10).gradient_norm == 5 && clip(25, 1, 10).clip_factor == 1);
    CHECK_NEAR(clip(25, 1, 2).clip_factor, 2 / (5 + 1e-6), 1e-7);
    CHECK_NEAR(clip(25, 0.5f, 2).clip_factor, 2 / (2.5 + 1e-6), 1e-7);
    CHECK(clip(25, 0.5f, 2).gradient_norm == 2.5f);
    CHECK(clip(25, 1, 5).clip_factor < 1);  // the 1e-6
    CHECK(clip(0, 1, 1).gradient_norm == 0 && clip(0, 1, 1).clip_factor == 1);
    CHECK(clip(1e60, 1, 0).clip_factor == 1 && clip(1e60, 1, 0).gradient_norm == 1e30f);  // 0 is off
    CHECK(std::isnan(clip(NAN, 1, 1).clip_factor) && std::isnan(clip(NAN, 1, 1).gradient_norm));
    CHECK(clip(NAN, 1, 0).clip_factor == 1 && clip(INFINITY, 1, 1).clip_factor == 0);
  });
}

TEST(clip_refuses_bad_arguments) {
  check::CpuStream stream;
  const double sum = 1;
  vbl_step step = {};
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_clip(nullptr, &sum, 1, &step));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_clip(stream, nullptr, 1, &step));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_clip(stream, &sum, 1, nullptr));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_clip(stream, &sum, -1, &step));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_clip(stream, &sum, NAN, &step));
}
