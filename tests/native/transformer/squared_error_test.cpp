// The squared error and its gradient against their definition in float64.
#include "arrays.h"

namespace {

struct Results {
  double loss;
  std::vector<float> d;
};

Results run(int32_t threads, const std::vector<float> &predictions, const std::vector<float> &targets, float scale,
            bool in_place) {
  check::CpuStream stream(threads);
  const int64_t n = static_cast<int64_t>(predictions.size()), bytes = vbl_squared_error_scratch_bytes(stream, n);
  std::vector<char> scratch(static_cast<size_t>(bytes));
  Results r{0.5, in_place ? predictions : std::vector<float>(predictions.size(), NAN)};
  CHECK_STATUS(VBL_OK, vbl_squared_error(stream, VBL_FLOAT32, n, in_place ? r.d.data() : predictions.data(),
                                         targets.data(), &scale, &r.loss, r.d.data(), scratch.data(), bytes));
  return r;
}

}  // namespace

TEST(squared_error_equals_its_definition_with_any_number_of_threads) {
  check::Random random(check::seed());
  for (int64_t n : {1, 7, 32768, 32769, 200001}) {
    const std::vector<float> predictions = check::normals(random, n, 3), targets = check::normals(random, n);
    const float scale = random.uniform(0.1f, 3);
    double loss = 0.5;
    std::vector<double> gradient;
    for (size_t i = 0; i < predictions.size(); ++i) {
      const double difference = static_cast<double>(predictions[i]) - targets[i];
      loss += difference * difference;
      gradient.push_back(2 * difference * scale);
    }
    const Results one = run(1, predictions, targets, scale, false);
    CHECK_NEAR(one.loss, loss, 1e-12 * loss);            // the same sums in float64, in another order
    CHECK_NEAR(check::error(one.d, gradient), 0, 6e-8);  // rounded once
    for (int32_t threads : {1, 2, 3}) {
      const Results more = run(threads, predictions, targets, scale, true);
      CHECK(more.loss == one.loss && check::same_bits(more.d, one.d));
    }
    check::CpuStream stream;
    double only_loss = 0.5;
    const int64_t bytes = vbl_squared_error_scratch_bytes(stream, n);
    std::vector<char> scratch(static_cast<size_t>(bytes));
    CHECK_STATUS(VBL_OK, vbl_squared_error(stream, VBL_FLOAT32, n, predictions.data(), targets.data(), nullptr,
                                           &only_loss, nullptr, scratch.data(), bytes));
    CHECK(only_loss == one.loss);
  }
}

TEST(squared_error_refuses_what_it_cannot_take) {
  check::CpuStream stream;
  float p[3] = {}, t[3] = {}, d[3], scale = 1;
  double loss = 0;
  const int64_t bytes = vbl_squared_error_scratch_bytes(stream, 3);
  std::vector<char> memory(static_cast<size_t>(bytes));
  char *scratch = memory.data();
  CHECK_STATUS(VBL_OK, vbl_squared_error(stream, VBL_FLOAT32, 3, p, t, &scale, &loss, d, scratch, bytes));
  CHECK_STATUS(VBL_OK,
               vbl_squared_error(stream, VBL_FLOAT32, 0, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT,
               vbl_squared_error(stream, VBL_FLOAT32, -1, p, t, &scale, &loss, d, scratch, bytes));
  CHECK_STATUS(VBL_INVALID_ARGUMENT,
               vbl_squared_error(stream, VBL_FLOAT32, 3, nullptr, t, &scale, &loss, d, scratch, bytes));
  CHECK_STATUS(VBL_INVALID_ARGUMENT,
               vbl_squared_error(stream, VBL_FLOAT32, 3, p, nullptr, &scale, &loss, d, scratch, bytes));
  CHECK_STATUS(VBL_INVALID_ARGUMENT,
               vbl_squared_error(stream, VBL_FLOAT32, 3, p, t, nullptr, &loss, d, scratch, bytes));
  CHECK_STATUS(VBL_INVALID_ARGUMENT,
               vbl_squared_error(stream, VBL_FLOAT32, 3, p, t, &scale, nullptr, d, scratch, bytes));
  CHECK_STATUS(VBL_INVALID_ARGUMENT,
               vbl_squared_error(stream, VBL_FLOAT32, 3, p, t, &scale, &loss, d, scratch, bytes - 1));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_squared_error(stream, VBL_FLOAT32, 3, p, t, &scale, &loss, d, nullptr, bytes));
  CHECK_STATUS(VBL_INVALID_ARGUMENT,
               vbl_squared_error(nullptr, VBL_FLOAT32, 3, p, t, &scale, &loss, d, scratch, bytes));
  CHECK(vbl_squared_error_scratch_bytes(stream, -1) == -1);
}
