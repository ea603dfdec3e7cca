// vbl_admixture_backward against its equations in float64, and those against central differences.
#include "admixture/reference.h"

using reference::Shape;

namespace {

struct Input {
  std::vector<float> bank, weights, dpacked;
  std::vector<int32_t> indices, slots;
};

struct Gradients {
  std::vector<float> dlogits, dbank;
};

Input random_input(check::Random &random, const Shape &shape) {
  Input input;
  input.bank = reference::normal(random, int64_t{shape.num_vectors} * shape.vector_length, 0.02f);
  input.dpacked = reference::normal(random, shape.rows * shape.vector_length, 1.0f);
  const std::vector<float> logits = reference::normal(random, shape.rows * shape.num_vectors, 1.0f);
  const reference::Selection selection = reference::select(shape, logits);
  input.indices = selection.indices;
  input.weights.assign(selection.weights.begin(), selection.weights.end());
  input.slots = reference::permutation(random, shape.rows);
  return input;
}

Gradients backward(vbl_stream *stream, const Shape &shape, const Input &input) {
  Gradients found;
  found.dlogits.assign(input.indices.size(), NAN);
  found.dbank.assign(input.bank.size(), NAN);
  const vbl_admixture admixture = shape.admixture(input.slots.data());
  const int64_t bytes = vbl_admixture_backward_scratch_bytes(stream, &admixture);
  CHECK(bytes > 0);
  std::vector<char> scratch(static_cast<size_t>(bytes) + 1);
  CHECK_STATUS(VBL_OK, vbl_admixture_backward(stream, &admixture, input.bank.data(), input.indices.data(),
                                              input.weights.data(), input.dpacked.data(), found.dlogits.data(),
                                              found.dbank.data(), scratch.data() + 1, bytes));  // any address will do
  return found;
}

struct Exact {
  std::vector<double> dlogits, dbank, magnitude;  // magnitude: sum of |w du|, what dbank's rounding is measured against
};

Exact exact_gradients(const Shape &shape, const Input &input) {
  Exact exact;
  exact.dlogits.resize(input.indices.size());
  exact.dbank.resize(input.bank.size());
  exact.magnitude.resize(input.bank.size());
  const int64_t b = shape.vector_length, k = shape.topk;
  for (int64_t row = 0; row < shape.rows; ++row) {
    const float *du = input.dpacked.data() + input.slots[row] * b;
    std::vector<double> g(static_cast<size_t>(k));
    double mean = 0;
    for (int64_t j = 0; j < k; ++j) {
      const int64_t s = input.indices[row * k + j];
      const double w = input.weights[row * k + j];
      for (int64_t i = 0; i < b; ++i) {
        g[j] += double{du[i]} * input.bank[s * b + i];
        exact.dbank[s * b + i] += w * du[i];
        exact.magnitude[s * b + i] += std::fabs(w * du[i]);
      }
      mean += w * g[j];
    }
    for (int64_t j = 0; j < k; ++j) exact.dlogits[row * k + j] = input.weights[row * k + j] * (g[j] - mean);
  }
  return exact;
}

void check_gradients(const Shape &shape, const Input &input, const Gradients &found) {
  const Exact exact = exact_gradients(shape, input);
  double largest = 0;
  for (const double x : exact.dlogits) largest = std::max(largest, std::fabs(x));
  // float64 inside, rounded once: half a unit in the last place, and float64's own rounding under cancellation.
  for (size_t i = 0; i < exact.dlogits.size(); ++i)
    CHECK_NEAR(found.dlogits[i], exact.dlogits[i], 0x1p-24 * std::fabs(exact.dlogits[i]) + 1e-13 * (largest + 1));
  for (size_t i = 0; i < exact.dbank.size(); ++i)
    CHECK_NEAR(found.dbank[i], exact.dbank[i], 0x1p-24 * std::fabs(exact.dbank[i]) + 1e-12 * exact.magnitude[i] + 1e-44);
}

}  // namespace

TEST(gradients_are_those_of_the_equations) {
  check::CpuStream stream;
  check::Random random(check::seed());
  for (int trial = 0; trial < 100; ++trial) {
    const Shape shape = reference::random_shape(random, trial % 10 == 0 ? 1500 : 60, 40, trial % 7 == 0 ? 600 : 70);
    const Input input = random_input(random, shape);
    check_gradients(shape, input, backward(stream, shape, input));
  }
}

// Rows that all use the same vectors, or by Zipf's law: the uses of a vector then span many chunks.
TEST(skewed_selections_give_the_same_gradients) {
  check::Random random(check::seed());
  for (const int skew : {0, 1, 2}) {
    const Shape shape = {1700, 50, 37, 2};
    Input input = random_input(random, shape);
    for (int64_t row = 0; row < shape.rows; ++row) {
      const auto zipf = [&] { return std::min(static_cast<int32_t>(1 / random.uniform(0.001f, 1)) - 1, 48); };
      input.indices[2 * row] = skew == 0 ? 7 : skew == 1 ? (row < 900 ? 49 : 0) : zipf();
      input.indices[2 * row + 1] = skew == 0 ? 8 : input.indices[2 * row] + (skew == 1 && row < 900 ? -1 : 1);
    }
    const Gradients one = backward(check::CpuStream(1), shape, input);
    check_gradients(shape, input, one);
    for (const int threads : {2, 5}) {
      const Gradients many = backward(check::CpuStream(threads), shape, input);
      CHECK(reference::same_bits(one.dlogits, many.dlogits) && reference::same_bits(one.dbank, many.dbank));
    }
  }
}

TEST(gradients_do_not_depend_on_threads) {
  check::Random random(check::seed());
  const Shape shape = {9000, 90, 16, 4};  // enough uses that they are sorted in pieces
  const Input input = random_input(random, shape);
  const Gradients one = backward(check::CpuStream(1), shape, input);
  check_gradients(shape, input, one);
  for (const int threads : {2, 5}) {
    const Gradients many = backward(check::CpuStream(threads), shape, input);
    CHECK(reference::same_bits(one.dlogits, many.dlogits) && reference::same_bits(one.dbank, many.dbank));
  }
}

// The derivative of L = <dpacked, packed(logits, bank)>, computed in float64 with the selection held fixed.
TEST(gradients_agree_with_central_differences) {
  check::CpuStream stream;
  check::Random random(check::seed());
  for (int trial = 0; trial < 20; ++trial) {
    Shape shape = reference::random_shape(random, 8, 12, 9);
    const int64_t h = shape.num_vectors, b = shape.vector_length, k = shape.topk;
    const std::vector<float> logits = reference::normal(random, shape.rows * h, 1.0f);
    Input input = random_input(random, shape);
    const reference::Selection selection = reference::select(shape, logits);
    input.indices = selection.indices;
    input.weights.assign(selection.weights.begin(), selection.weights.end());
    const Gradients found = backward(stream, shape, input);

    std::vector<double> x(logits.begin(), logits.end()), bank(input.bank.begin(), input.bank.end());
    const auto loss = [&] {
      double sum = 0;
      for (int64_t row = 0; row < shape.rows; ++row) {
        double normaliser = 0;
        for (int64_t j = 0; j < k; ++j) normaliser += std::exp(x[row * h + selection.indices[row * k + j]]);
        for (int64_t j = 0; j < k; ++j) {
          const int64_t s = selection.indices[row * k + j];
          for (int64_t i = 0; i < b; ++i)
            sum += std::exp(x[row * h + s]) / normaliser * bank[s * b + i] * input.dpacked[input.slots[row] * b + i];
        }
      }
      return sum;
    };
    const auto difference = [&](double &variable) {
      const double value = variable, epsilon = 1e-5;
      variable = value + epsilon;
      const double above = loss();
      variable = value - epsilon;
      const double below = loss();
      variable = value;
      return (above - below) / (2 * epsilon);
    };
    for (int64_t row = 0; row < shape.rows; ++row)
      for (int64_t j = 0; j < k; ++j)
        CHECK_NEAR(found.dlogits[row * k + j], difference(x[row * h + selection.indices[row * k + j]]), 2e-7);
    for (size_t i = 0; i < bank.size(); ++i) CHECK_NEAR(found.dbank[i], difference(bank[i]), 2e-6);
  }
}

TEST(backward_refuses_bad_arguments) {
  check::CpuStream stream;
  check::Random random(check::seed());
  const Shape shape = {4, 3, 5, 2};
  Input input = random_input(random, shape);
  const vbl_admixture good = shape.admixture();
  const int64_t bytes = vbl_admixture_backward_scratch_bytes(stream, &good);
  std::vector<char> scratch(static_cast<size_t>(bytes));
  std::vector<float> dlogits(8, 9.0f), dbank(15, 9.0f);
  struct Arguments {
    const float *bank;
    const int32_t *indices;
    const float *weights, *dpacked;
    float *dlogits, *dbank;
    void *scratch;
    int64_t bytes;
  };
  const Arguments all = {input.bank.data(), input.indices.data(), input.weights.data(), input.dpacked.data(),
                         dlogits.data(),    dbank.data(),         scratch.data(),       bytes};
  const auto call = [&](const Arguments &a) {
    return vbl_admixture_backward(stream, &good, a.bank, a.indices, a.weights, a.dpacked, a.dlogits, a.dbank, a.scratch,
                                  a.bytes);
  };
  const auto refused = [&](const char *message, auto change) {
    Arguments changed = all;
    change(changed);
    CHECK_STATUS(VBL_INVALID_ARGUMENT, call(changed));
    if (std::strstr(vbl_last_error(), message) == nullptr)
      check::failed(__FILE__, __LINE__, "message '%s' lacks '%s'", vbl_last_error(), message);
  };
  refused("bank", [](Arguments &a) { a.bank = nullptr; });
  refused("indices", [](Arguments &a) { a.indices = nullptr; });
  refused("weights", [](Arguments &a) { a.weights = nullptr; });
  refused("dpacked", [](Arguments &a) { a.dpacked = nullptr; });
  refused("dlogits", [](Arguments &a) { a.dlogits = nullptr; });
  refused("dbank", [](Arguments &a) { a.dbank = nullptr; });
  refused("scratch", [](Arguments &a) { a.scratch = nullptr; });
  refused("scratch must have", [](Arguments &a) { --a.bytes; });
  input.indices[5] = 3;
  refused("found 3 in row 2", [](Arguments &) {});
  for (const float x : dbank) CHECK(x == 9);
  const vbl_admixture empty = {0, 3, 5, 2, nullptr};
  CHECK(vbl_admixture_backward_scratch_bytes(stream, &empty) == -1);
  CHECK(vbl_admixture_backward_scratch_bytes(nullptr, &good) == -1);
  const vbl_admixture boundless = {INT32_MAX, 1 << 24, INT32_MAX, 1 << 24, nullptr};
  CHECK(vbl_admixture_backward_scratch_bytes(stream, &boundless) == INT64_MAX);
}
