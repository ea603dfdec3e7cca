// Softmax cross-entropy and its gradient against their definition in float64.
#include <cstring>

#include "arrays.h"

namespace {

struct Results {
  double loss;
  std::vector<float> dlogits;
};

Results run(int32_t threads, int64_t vocab, const std::vector<float> &logits, const std::vector<int32_t> &labels,
            float scale, bool in_place) {
  check::CpuStream stream(threads);
  const int64_t rows = static_cast<int64_t>(labels.size()), bytes = vbl_cross_entropy_scratch_bytes(stream, rows);
  std::vector<char> scratch(static_cast<size_t>(bytes));
  Results r{0.5, in_place ? logits : std::vector<float>(logits.size(), NAN)};
  CHECK_STATUS(VBL_OK, vbl_cross_entropy(stream, VBL_FLOAT32, rows, vocab, in_place ? r.dlogits.data() : logits.data(),
                                         labels.data(), &scale, &r.loss, r.dlogits.data(), scratch.data(), bytes));
  return r;
}

}  // namespace

TEST(cross_entropy_equals_its_definition_with_any_number_of_threads) {
  check::Random random(check::seed());
  const int64_t shapes[][2] = {{1, 1}, {7, 3}, {30, 17}, {64, 512}, {21, 4099}, {3, 100000}};
  for (const auto &s : shapes) {
    const int64_t rows = s[0], vocab = s[1];
    std::vector<float> logits = check::normals(random, rows * vocab, random.uniform(0.5f, 12));
    std::vector<int32_t> labels(static_cast<size_t>(rows));
    for (int32_t &label : labels)
      label = random.between(0, 3) ? static_cast<int32_t>(random.between(0, vocab - 1)) : VBL_IGNORE_INDEX;
    labels[0] = static_cast<int32_t>(vocab - 1);
    const float scale = random.uniform(0.1f, 3);
    double loss = 0.5;
    std::vector<double> gradient(logits.size());
    for (size_t i = 0; i < labels.size(); ++i) {
      float *z = &logits[i * static_cast<size_t>(vocab)];
      double *g = &gradient[i * static_cast<size_t>(vocab)];
      if (labels[i] == VBL_IGNORE_INDEX) {
        z[0] = NAN;  // what is ignored is not looked at
        continue;
      }
      double most = -INFINITY, sum = 0;
      for (int64_t j = 0; j < vocab; ++j) most = std::fmax(most, z[j]);
      for (int64_t j = 0; j < vocab; ++j) sum += std::exp(z[j] - most);
      loss += std::log(sum) + most - z[labels[i]];
      for (int64_t j = 0; j < vocab; ++j) g[j] = scale * (std::exp(z[j] - most) / sum - (j == labels[i]));
    }
    const Results one = run(1, vocab, logits, labels, scale, false);
    CHECK_NEAR(one.loss, loss, 1e-7 * loss);
    CHECK_NEAR(check::error(one.dlogits, gradient), 0, 1e-6);
    for (int32_t threads : {1, 2, 5}) {
      const Results more = run(threads, vocab, logits, labels, scale, true);
      CHECK(more.loss == one.loss && check::same_bits(more.dlogits, one.dlogits));
    }
    check::CpuStream stream;
    double only_loss = 0.5;
    const int64_t bytes = vbl_cross_entropy_scratch_bytes(stream, rows);
    std::vector<char> scratch(static_cast<size_t>(bytes));
    CHECK_STATUS(VBL_OK, vbl_cross_entropy(stream, VBL_FLOAT32, rows, vocab, logits.data(), labels.data(), nullptr,
                                           &only_loss, nullptr, scratch.data(), bytes));
    CHECK(only_loss == one.loss);
  }
}

TEST(cross_entropy_of_extreme_logits_is_finite) {
  const std::vector<float> logits = {1e30f, -1e30f, 0, -INFINITY, 5, 5};
  const Results r = run(1, 3, logits, {0, 1}, 1, false);
  CHECK_NEAR(r.loss, 0.5 + std::log(2.0), 1e-7);
  const float expected[] = {0, 0, 0, 0, -0.5f, 0.5f};
  CHECK(std::memcmp(r.dlogits.data() + 3, expected + 3, 3 * sizeof(float)) == 0);
  for (int i = 0; i < 3; ++i) CHECK(r.dlogits[static_cast<size_t>(i)] == 0);
}

TEST(cross_entropy_refuses_what_it_cannot_take) {
  check::CpuStream stream;
  float logits[6] = {}, d[6], scale = 1;
  double loss = 0;
  const int64_t bytes = vbl_cross_entropy_scratch_bytes(stream, 2);
  std::vector<char> memory(static_cast<size_t>(bytes));
  char *scratch = memory.data();
  const auto call = [&](const int32_t *labels, const float *s, double *l, void *memory, int64_t bytes) {
    return vbl_cross_entropy(stream, VBL_FLOAT32, 2, 3, logits, labels, s, l, d, memory, bytes);
  };
  const int32_t labels[2] = {0, 2};
  CHECK_STATUS(VBL_OK, call(labels, &scale, &loss, scratch, bytes));
  for (int32_t wrong : {-1, 3, -101}) {
    const int32_t bad[2] = {0, wrong};
    const double before = loss;
    CHECK_STATUS(VBL_INVALID_ARGUMENT, call(bad, &scale, &loss, scratch, bytes));
    CHECK(std::strstr(vbl_last_error(), "labels[1]") != nullptr && loss == before);
  }
  CHECK_STATUS(VBL_INVALID_ARGUMENT, call(nullptr, &scale, &loss, scratch, bytes));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, call(labels, nullptr, &loss, scratch, bytes));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, call(labels, &scale, nullptr, scratch, bytes));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, call(labels, &scale, &loss, scratch, bytes - 1));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, call(labels, &scale, &loss, nullptr, bytes));
  CHECK(vbl_cross_entropy_scratch_bytes(stream, -1) == -1);
  CHECK_STATUS(VBL_INVALID_ARGUMENT,
               vbl_cross_entropy(stream, VBL_FLOAT32, -1, 3, logits, labels, &scale, &loss, d, scratch, bytes));
  CHECK_STATUS(VBL_INVALID_ARGUMENT,
               vbl_cross_entropy(stream, VBL_FLOAT32, 2, 0, logits, labels, &scale, &loss, d, scratch, bytes));
  CHECK_STATUS(VBL_INVALID_ARGUMENT,
               vbl_cross_entropy(nullptr, VBL_FLOAT32, 2, 3, logits, labels, &scale, &loss, d, scratch, bytes));
}
