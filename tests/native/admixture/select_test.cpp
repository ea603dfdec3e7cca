// vbl_select against a stable sort and a float64 softmax.
#include "admixture/reference.h"

using reference::Shape;

namespace {

struct Selected {
  std::vector<int32_t> indices;
  std::vector<float> weights;
  int64_t bad_row = -2;
};

Selected select(vbl_stream *stream, const Shape &shape, const std::vector<float> &logits) {
  Selected s;
  s.indices.assign(static_cast<size_t>(shape.rows * shape.topk), -1);
  s.weights.assign(s.indices.size(), -1.0f);
  const vbl_admixture admixture = shape.admixture();
  CHECK_STATUS(VBL_OK, vbl_select(stream, &admixture, logits.data(), s.indices.data(), s.weights.data(), &s.bad_row));
  return s;
}

void check_against_reference(const Shape &shape, const std::vector<float> &logits, const Selected &found) {
  const reference::Selection expected = reference::select(shape, logits);
  CHECK(found.bad_row == -1);
  CHECK(found.indices == expected.indices);
  // Computed in float64 and rounded once: half a unit in the last place of float32.
  for (size_t i = 0; i < expected.weights.size(); ++i)
    CHECK_NEAR(found.weights[i], expected.weights[i], 0x1p-24 * expected.weights[i] + 1e-15);
}

}  // namespace

TEST(selects_as_a_stable_sort_does) {
  check::CpuStream stream;
  check::Random random(check::seed());
  for (int trial = 0; trial < 200; ++trial) {
    const Shape shape = reference::random_shape(random, 40, trial % 10 == 0 ? 3000 : 200, 4);
    std::vector<float> logits = reference::normal(random, shape.rows * shape.num_vectors, 0.1f);
    switch (trial % 5) {
      case 1:  // many ties, zeros of both signs among them
        for (float &x : logits) x = std::round(x * 20) * 0.05f;
        break;
      case 2:  // saturated softmax, and -inf everywhere but in one place of each row
        for (float &x : logits) x = random.between(0, 1) ? 80.0f : -80.0f;
        for (int64_t row = 0; row < shape.rows; ++row) {
          for (int32_t s = 0; s < shape.num_vectors; ++s)
            if (random.between(0, 2) > 0) logits[row * shape.num_vectors + s] = -INFINITY;
          logits[row * shape.num_vectors + random.between(0, shape.num_vectors - 1)] = -3e38f;
        }
        break;
      case 3:  // the ends of float32: differences overflow it
        for (float &x : logits) x = x > 0.1f ? 1e38f : x < -0.1f ? -3e38f : x * 1e-38f;
        break;
      case 4:  // ascending: every entry gets in
        std::sort(logits.begin(), logits.end());
        break;
    }
    check_against_reference(shape, logits, select(stream, shape, logits));
  }
}

TEST(selects_from_the_longest_row) {
  check::CpuStream stream;
  check::Random random(check::seed());
  for (const int32_t topk : {1, 2, 300, 65536}) {
    const Shape shape = {2, 65536, 1, topk};
    const std::vector<float> logits = reference::normal(random, shape.rows * shape.num_vectors, 1.0f);
    check_against_reference(shape, logits, select(stream, shape, logits));
  }
}

TEST(equal_logits_go_by_index) {
  check::CpuStream stream;
  for (const int32_t num_vectors : {1, 2, 15, 64, 90, 257, 2048}) {
    const Shape shape = {3, num_vectors, 1, std::min(num_vectors, 5)};
    std::vector<float> logits(static_cast<size_t>(shape.rows * num_vectors));
    for (size_t i = 0; i < logits.size(); ++i) logits[i] = i % 3 == 0 ? 0.0f : -0.0f;
    const Selected found = select(stream, shape, logits);
    for (int64_t i = 0; i < shape.rows * shape.topk; ++i) {
      CHECK(found.indices[i] == i % shape.topk);
      CHECK(found.weights[i] == 1.0f / static_cast<float>(shape.topk));
    }
  }
}

TEST(reports_the_lowest_bad_row) {
  check::Random random(check::seed());
  const Shape shape = {2000, 77, 1, 3};
  const std::vector<float> good = reference::normal(random, shape.rows * shape.num_vectors, 1.0f);
  for (const int threads : {1, 2, 5}) {
    check::CpuStream stream(threads);
    for (const float bad : {NAN, -NAN, INFINITY}) {
      for (const int64_t place : {0, 1, 40, 76}) {
        std::vector<float> logits = good;
        logits[1999 * 77 + place] = bad;
        CHECK(select(stream, shape, logits).bad_row == 1999);
        logits[801 * 77 + place] = bad;
        logits[800 * 77 + 76 - place] = bad;
        const Selected found = select(stream, shape, logits);
        CHECK(found.bad_row == 800);
        CHECK(found.indices[800 * 3] == 76 - place);
        for (int j = 0; j < 3; ++j) CHECK(std::isnan(found.weights[800 * 3 + j]));
        for (int j = 0; j < 3; ++j) CHECK(found.weights[799 * 3 + j] > 0 && found.weights[799 * 3 + j] < 1);
      }
    }
    std::vector<float> logits = good;
    std::fill(logits.begin() + 5 * 77, logits.begin() + 6 * 77, -INFINITY);
    CHECK(select(stream, shape, logits).bad_row == 5);
  }
}

TEST(nan_stands_before_every_number) {
  check::CpuStream stream;
  const Shape shape = {1, 6, 1, 4};
  const Selected found = select(stream, shape, {1, NAN, INFINITY, 2, NAN, 2});
  CHECK((found.indices == std::vector<int32_t>{1, 4, 2, 3}));
  CHECK(found.bad_row == 0);
}

TEST(selection_does_not_depend_on_threads) {
  check::Random random(check::seed());
  const Shape shape = {3000, 90, 1, 2};
  const std::vector<float> logits = reference::normal(random, shape.rows * shape.num_vectors, 0.1f);
  const Selected one = select(check::CpuStream(1), shape, logits);
  for (const int threads : {2, 5}) {
    const Selected many = select(check::CpuStream(threads), shape, logits);
    CHECK(one.indices == many.indices && reference::same_bits(one.weights, many.weights));
  }
}

TEST(select_refuses_bad_arguments) {
  check::CpuStream stream;
  float logits[6] = {}, weights[6];
  int32_t indices[6];
  int64_t bad_row;
  const vbl_admixture good = {2, 3, 4, 2, nullptr};
  CHECK_STATUS(VBL_OK, vbl_select(stream, &good, logits, indices, weights, &bad_row));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_select(nullptr, &good, logits, indices, weights, &bad_row));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_select(stream, nullptr, logits, indices, weights, &bad_row));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_select(stream, &good, nullptr, indices, weights, &bad_row));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_select(stream, &good, logits, nullptr, weights, &bad_row));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_select(stream, &good, logits, indices, nullptr, &bad_row));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_select(stream, &good, logits, indices, weights, nullptr));
  for (const vbl_admixture &bad : {vbl_admixture{0, 3, 4, 2, nullptr}, vbl_admixture{int64_t{1} << 31, 3, 4, 2, nullptr},
                                   vbl_admixture{2, 0, 4, 1, nullptr},
                                   vbl_admixture{2, (1 << 24) + 1, 4, 2, nullptr},
                                   vbl_admixture{2, 3, 0, 2, nullptr}, vbl_admixture{2, 3, 4, 0, nullptr},
                                   vbl_admixture{2, 3, 4, 4, nullptr}})
    CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_select(stream, &bad, logits, indices, weights, &bad_row));
  CHECK(std::strcmp(vbl_last_error(), "vbl_select: topk must lie in 1 .. num_vectors = 3, found 4") == 0);
}
