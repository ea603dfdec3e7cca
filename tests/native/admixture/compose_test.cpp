// vbl_compose against the sum of its definition.
#include "admixture/reference.h"

using reference::Shape;

namespace {

struct Input {
  std::vector<float> bank, weights;
  std::vector<int32_t> indices;
};

Input random_input(check::Random &random, const Shape &shape) {
  Input input;
  input.bank = reference::normal(random, int64_t{shape.num_vectors} * shape.vector_length, 0.02f);
  for (int64_t i = 0; i < shape.rows * shape.topk; ++i) {
    input.indices.push_back(static_cast<int32_t>(random.between(0, shape.num_vectors - 1)));
    input.weights.push_back(random.uniform(0, 1));
  }
  return input;
}

template <typename T>
std::vector<T> compose(vbl_stream *stream, const vbl_admixture &admixture, const Input &input, int32_t dtype) {
  std::vector<T> packed(static_cast<size_t>(admixture.rows * admixture.vector_length), T(77));
  CHECK_STATUS(VBL_OK, vbl_compose(stream, &admixture, input.bank.data(), input.indices.data(), input.weights.data(),
                                   packed.data(), dtype));
  return packed;
}

}  // namespace

TEST(composes_the_weighted_sum) {
  check::CpuStream stream;
  check::Random random(check::seed());
  for (int trial = 0; trial < 100; ++trial) {
    const Shape shape = reference::random_shape(random, 60, 20, trial % 10 == 0 ? 3000 : 300);
    const Input input = random_input(random, shape);
    const std::vector<int32_t> slots = reference::permutation(random, shape.rows);
    const vbl_admixture admixture = shape.admixture(trial % 3 == 0 ? nullptr : slots.data());
    const std::vector<float> packed = compose<float>(stream, admixture, input, VBL_FLOAT32);
    for (int64_t row = 0; row < shape.rows; ++row) {
      const int64_t slot = admixture.slots != nullptr ? slots[row] : row;
      for (int32_t i = 0; i < shape.vector_length; ++i) {
        double sum = 0;  // the documented arithmetic: float64, in the order of the indices, rounded once
        for (int32_t j = 0; j < shape.topk; ++j) {
          const float weight = input.weights[row * shape.topk + j];
          const float x = input.bank[int64_t{input.indices[row * shape.topk + j]} * shape.vector_length + i];
          sum += double{weight} * x;
        }
        const float found = packed[slot * shape.vector_length + i];
        CHECK(found == static_cast<float>(sum));
      }
    }
    // 16-bit outputs are the float32 one, rounded.
    for (const int32_t dtype : {VBL_BFLOAT16, VBL_FLOAT16}) {
      std::vector<uint16_t> rounded(packed.size());
      CHECK_STATUS(VBL_OK, vbl_convert(stream, static_cast<int64_t>(packed.size()), packed.data(), VBL_FLOAT32,
                                       rounded.data(), dtype));
      CHECK(compose<uint16_t>(stream, admixture, input, dtype) == rounded);
    }
  }
}

TEST(composition_does_not_depend_on_threads) {
  check::Random random(check::seed());
  const Shape shape = {1000, 90, 256, 2};
  const Input input = random_input(random, shape);
  const std::vector<float> one = compose<float>(check::CpuStream(1), shape.admixture(), input, VBL_FLOAT32);
  for (const int threads : {2, 5})
    CHECK(reference::same_bits(one, compose<float>(check::CpuStream(threads), shape.admixture(), input, VBL_FLOAT32)));
}

TEST(compose_refuses_bad_arguments) {
  check::CpuStream stream;
  const float bank[6] = {1, 2, 3, 4, 5, 6}, weights[4] = {0.5f, 0.5f, 1, 0};
  const int32_t indices[4] = {0, 2, 1, 0}, slots[2] = {1, 0};
  float packed[4] = {9, 9, 9, 9};
  const vbl_admixture good = {2, 3, 2, 2, slots};
  const auto refused = [&](const vbl_admixture &admixture, const float *v, const int32_t *i, const float *w, void *out,
                           int32_t dtype, const char *message) {
    CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_compose(stream, &admixture, v, i, w, out, dtype));
    if (std::strstr(vbl_last_error(), message) == nullptr)
      check::failed(__FILE__, __LINE__, "message '%s' lacks '%s'", vbl_last_error(), message);
  };
  refused(good, nullptr, indices, weights, packed, VBL_FLOAT32, "bank");
  refused(good, bank, nullptr, weights, packed, VBL_FLOAT32, "indices");
  refused(good, bank, indices, nullptr, packed, VBL_FLOAT32, "weights");
  refused(good, bank, indices, weights, nullptr, VBL_FLOAT32, "packed");
  refused(good, bank, indices, weights, packed, 3, "dtype 3");
  refused({2, 3, 2, 4, slots}, bank, indices, weights, packed, VBL_FLOAT32, "topk");
  for (const int32_t bad : {3, -1, INT32_MIN}) {
    const int32_t outside[4] = {0, 2, 1, bad};
    refused(good, bank, outside, weights, packed, VBL_FLOAT32, "in row 1");
  }
  const int32_t wild[2] = {2, 0};
  refused({2, 3, 2, 2, wild}, bank, indices, weights, packed, VBL_FLOAT32, "found 2 in row 0");
  for (const float x : packed) CHECK(x == 9);
  CHECK_STATUS(VBL_OK, vbl_compose(stream, &good, bank, indices, weights, packed, VBL_FLOAT32));
  CHECK(packed[0] == 3 && packed[1] == 4 && packed[2] == 3 && packed[3] == 4);
}
