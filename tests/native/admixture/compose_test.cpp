// vbl_compose against the sum of its definition.
#include "admixture/reference.h"
#include "device.h"

using reference::Shape;

namespace {

struct Input {
  std::vector<float> bank, weights;
  std::vector<int32_t> indices;
};

Input random_input(check::Random &random, const Shape &shape) {
  Input input;
  input.bank = check::normals(random, int64_t{shape.num_vectors} * shape.vector_length, 0.02f);
  for (int64_t i = 0; i < shape.rows * shape.topk; ++i) {
    input.indices.push_back(static_cast<int32_t>(random.between(0, shape.num_vectors - 1)));
    input.weights.push_back(random.uniform(0, 1));
  }
  return input;
}

template <typename T>
std::vector<T> compose(vbl_stream *stream, const Shape &shape, const Input &input, const std::vector<int32_t> &slots,
                       int32_t dtype, int64_t bank_shift = 0, int64_t packed_shift = 0) {
  const check::Array<float> bank(stream, input.bank, bank_shift), weights(stream, input.weights);
  const check::Array<int32_t> indices(stream, input.indices), places(stream, slots);
  const check::Array<T> packed(stream, shape.rows * shape.vector_length, T(77), packed_shift);
  const vbl_admixture admixture = shape.admixture(slots.empty() ? nullptr : places.data());
  CHECK_STATUS(VBL_OK,
               vbl_compose(stream, &admixture, bank.data(), indices.data(), weights.data(), packed.data(), dtype));
  return packed.get();
}

// The documented arithmetic: float64, in the order of the indices, rounded once.
std::vector<float> composed(const Shape &shape, const Input &input, const std::vector<int32_t> &slots) {
  std::vector<float> packed(static_cast<size_t>(shape.rows * shape.vector_length));
  for (int64_t row = 0; row < shape.rows; ++row) {
    const int64_t slot = slots.empty() ? row : slots[row];
    for (int32_t i = 0; i < shape.vector_length; ++i) {
      double sum = 0;
      for (int32_t j = 0; j < shape.topk; ++j) {
        const float weight = input.weights[row * shape.topk + j];
        const float x = input.bank[int64_t{input.indices[row * shape.topk + j]} * shape.vector_length + i];
        sum += double{weight} * x;
      }
      packed[slot * shape.vector_length + i] = static_cast<float>(sum);
    }
  }
  return packed;
}

// All dtypes and alignments: 16-bit outputs are the float32 one, rounded.
void check_composition(vbl_stream *stream, const Shape &shape, const Input &input, const std::vector<int32_t> &slots) {
  const std::vector<float> expected = composed(shape, input, slots);
  for (const int64_t shift : {0, 1})
    CHECK(check::same_bits(expected, compose<float>(stream, shape, input, slots, VBL_FLOAT32, 0, shift)));
  CHECK(check::same_bits(expected, compose<float>(stream, shape, input, slots, VBL_FLOAT32, 1, 0)));
  check::CpuStream cpu;
  for (const int32_t dtype : {VBL_BFLOAT16, VBL_FLOAT16}) {
    std::vector<uint16_t> rounded(expected.size());
    CHECK_STATUS(VBL_OK, vbl_convert(cpu, static_cast<int64_t>(expected.size()), expected.data(), VBL_FLOAT32,
                                     rounded.data(), dtype));
    for (const int64_t shift : {0, 1, 2})
      CHECK(compose<uint16_t>(stream, shape, input, slots, dtype, 0, shift) == rounded);
  }
}

}  // namespace

TEST(composes_the_weighted_sum) {
  check::for_each_device([](vbl_stream *stream) {
    check::Random random(check::seed());
    check::Sample sample;
    for (int trial = 0; trial < 40; ++trial) {
      if (!sample.takes()) continue;
      const Shape shape = reference::random_shape(random, 60, 20, trial % 10 == 0 ? 3000 : 300);
      const Input input = random_input(random, shape);
      check_composition(stream, shape, input,
                        trial % 3 == 0 ? std::vector<int32_t>() : reference::permutation(random, shape.rows));
    }
  });
}

// Lengths around the widths of vectors, warps and tiles; more rows than a block takes.
TEST(composes_every_length_and_topk) {
  check::for_each_device([](vbl_stream *stream) {
    check::Random random(check::seed());
    check::Sample sample;
    for (const int32_t length : {1, 2, 3, 4, 8, 64, 255, 256, 257}) {
      for (const int32_t topk : {1, 2, 3, 8, 40}) {
        if (!sample.takes()) continue;
        const Shape shape = {length < 8 ? 300 : 19, topk == 1 ? 1 : 50, length, topk};
        check_composition(stream, shape, random_input(random, shape), reference::permutation(random, shape.rows));
      }
    }
    const Shape many = {7, 65536, 4, 32}, longest = {3, 2, 20003, 2};
    check_composition(stream, many, random_input(random, many), {});
    check_composition(stream, longest, random_input(random, longest), {2, 0, 1});
  });
}

TEST(composition_keeps_what_is_special) {
  check::for_each_device([](vbl_stream *stream) {
    const Shape shape = {3, 3, 5, 1};
    Input input;
    input.bank = {-0.0f, 1e-45f, -3.4e38f, INFINITY, 1, 0, 0, 0, 0, 0, NAN, 1, 1, 1, 1};
    input.indices = {0, 0, 2};
    input.weights = {1, 0.25f, 1};
    const std::vector<float> found = compose<float>(stream, shape, input, {}, VBL_FLOAT32);
    CHECK(std::signbit(found[0]) && found[0] == 0);
    CHECK(found[1] == 1e-45f && found[2] == -3.4e38f && found[3] == INFINITY && found[4] == 1);
    CHECK(std::signbit(found[5]) && found[6] == 0 && found[7] == -0.85e38f && found[8] == INFINITY);
    CHECK(std::isnan(found[10]) && found[11] == 1);
  });
}

TEST(a_graph_composes_as_often_as_it_is_launched) {
  check::on_cuda([](vbl_stream *stream) {
    check::Random random(check::seed());
    const Shape shape = {40, 9, 96, 2};
    const Input input = random_input(random, shape), other = random_input(random, shape);
    check::Array<float> bank(stream, input.bank), weights(stream, input.weights);
    check::Array<int32_t> indices(stream, input.indices);
    const check::Array<float> packed(stream, shape.rows * shape.vector_length, NAN);
    const vbl_admixture admixture = shape.admixture();
    vbl_graph *graph = nullptr;
    CHECK_STATUS(VBL_OK, vbl_graph_begin(stream));
    CHECK_STATUS(VBL_OK, vbl_compose(stream, &admixture, bank.data(), indices.data(), weights.data(), packed.data(),
                                     VBL_FLOAT32));
    CHECK_STATUS(VBL_OK, vbl_graph_end(stream, &graph));
    for (const Input *replayed : {&input, &other}) {
      bank.set(replayed->bank);
      weights.set(replayed->weights);
      indices.set(replayed->indices);
      CHECK_STATUS(VBL_OK, vbl_graph_launch(stream, graph));
      CHECK(check::same_bits(packed.get(), composed(shape, *replayed, {})));
    }
    CHECK_STATUS(VBL_OK, vbl_graph_destroy(graph));
  });
}

// What a CUDA stream can't refuse: nothing is read or written out of bounds, and what depends on it is NaN.
TEST(what_is_out_of_range_shows_in_its_own_row_only) {
  check::on_cuda([](vbl_stream *stream) {
    check::Random random(check::seed());
    for (const int32_t length : {8, 9}) {
      const Shape shape = {20, 6, length, 2};
      Input input = random_input(random, shape);
      std::vector<int32_t> slots(20);
      std::iota(slots.begin(), slots.end(), 0);
      std::vector<float> expected = composed(shape, input, slots);
      input.indices[2 * 3] = 6, input.indices[2 * 5 + 1] = -1, input.indices[2 * 6] = INT32_MIN;
      slots[9] = 20, slots[10] = -1;
      const std::vector<float> found = compose<float>(stream, shape, input, slots, VBL_FLOAT32);
      for (int64_t row = 0; row < 20; ++row)
        for (int64_t i = row * length; i < (row + 1) * length; ++i) {
          if (row == 3 || row == 5 || row == 6) {
            CHECK(std::isnan(found[i]));
          } else {
            CHECK(found[i] == (row == 9 || row == 10 ? 77 : expected[i]));
          }
        }
    }
  });
}

TEST(composition_does_not_depend_on_threads) {
  check::Random random(check::seed());
  const Shape shape = {1000, 90, 256, 2};
  const Input input = random_input(random, shape);
  const std::vector<float> one = compose<float>(check::CpuStream(1), shape, input, {}, VBL_FLOAT32);
  for (const int threads : {2, 5})
    CHECK(check::same_bits(one, compose<float>(check::CpuStream(threads), shape, input, {}, VBL_FLOAT32)));
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
