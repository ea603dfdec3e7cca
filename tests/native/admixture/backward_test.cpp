// vbl_admixture_backward against its equations in float64, and those against central differences.
#include "admixture/reference.h"
#include "device.h"

using reference::Shape;

namespace {

using Input = reference::BackwardInput;

struct Gradients {
  std::vector<float> dlogits, dbank;
};

Input random_input(check::Random &random, const Shape &shape) {
  Input input;
  input.bank = check::normals(random, int64_t{shape.num_vectors} * shape.vector_length, 0.02f);
  input.dpacked = check::normals(random, shape.rows * shape.vector_length, 1.0f);
  const std::vector<float> logits = check::normals(random, shape.rows * shape.num_vectors, 1.0f);
  const reference::Selection selection = reference::select(shape, logits);
  input.indices = selection.indices;
  input.weights.assign(selection.weights.begin(), selection.weights.end());
  input.slots = reference::permutation(random, shape.rows);
  return input;
}

// Arrays of a call, `shift` elements behind a 16-byte boundary; outputs and scratch memory hold what they should not.
struct Call {
  Shape shape;
  check::Array<float> bank, weights, dpacked, dlogits, dbank;
  check::Array<int32_t> indices, slots;
  vbl_admixture admixture;
  int64_t scratch_bytes;
  check::Array<unsigned char> scratch;

  Call(vbl_stream *stream, const Shape &s, const Input &input, int64_t shift = 0)
      : shape(s), bank(stream, input.bank, shift), weights(stream, input.weights, shift),
        dpacked(stream, input.dpacked, shift), dlogits(stream, static_cast<int64_t>(input.weights.size()), NAN, shift),
        dbank(stream, static_cast<int64_t>(input.bank.size()), NAN, shift), indices(stream, input.indices, shift),
        slots(stream, input.slots, shift), admixture(s.admixture(input.slots.empty() ? nullptr : slots.data())),
        scratch_bytes(vbl_admixture_backward_scratch_bytes(stream, &admixture)),
        scratch(stream, scratch_bytes, 0xFF, 1) {}  // any address will do

  void run(vbl_stream *stream) {
    CHECK_STATUS(VBL_OK,
                 vbl_admixture_backward(stream, &admixture, bank.data(), indices.data(), weights.data(), dpacked.data(),
                                        dlogits.data(), dbank.data(), scratch.data(), scratch_bytes));
  }
  Gradients gradients() const { return {dlogits.get(), dbank.get()}; }
};

Gradients backward(vbl_stream *stream, const Shape &shape, const Input &input, int64_t shift = 0) {
  Call call(stream, shape, input, shift);
  call.run(stream);
  return call.gradients();
}

// Rows that choose by chance, all alike, or by Zipf's law; indices of a row differ.
enum class Choice { uniform, alike, zipf };

Input chosen_input(check::Random &random, const Shape &shape, Choice choice) {
  Input input;
  input.bank = check::normals(random, int64_t{shape.num_vectors} * shape.vector_length, 0.02f);
  input.dpacked = check::normals(random, shape.rows * shape.vector_length, 1.0f);
  input.slots = reference::permutation(random, shape.rows);
  for (int64_t row = 0; row < shape.rows; ++row) {
    int64_t first = shape.num_vectors / 3;
    if (choice == Choice::uniform) first = random.between(0, shape.num_vectors - 1);
    if (choice == Choice::zipf) first = static_cast<int64_t>(1 / random.uniform(1.0f / shape.num_vectors, 1)) - 1;
    for (int32_t j = 0; j < shape.topk; ++j) {
      input.indices.push_back(static_cast<int32_t>((first + j) % shape.num_vectors));
      input.weights.push_back(random.uniform(0, 1));
    }
  }
  return input;
}

bool same(const Gradients &a, const Gradients &b) {
  return check::same_bits(a.dlogits, b.dlogits) && check::same_bits(a.dbank, b.dbank);
}

void check_gradients(const Shape &shape, const Input &input, const Gradients &found) {
  const reference::Gradients exact = reference::backward(shape, input);
  double largest = 0;
  for (const double x : exact.dlogits) largest = std::max(largest, std::fabs(x));
  // float64 inside, rounded once: half a unit in the last place, and float64's own rounding under cancellation.
  for (size_t i = 0; i < exact.dlogits.size(); ++i)
    CHECK_NEAR(found.dlogits[i], exact.dlogits[i], 0x1p-24 * std::fabs(exact.dlogits[i]) + 1e-13 * (largest + 1));
  for (size_t i = 0; i < exact.dbank.size(); ++i)
    CHECK_NEAR(found.dbank[i], exact.dbank[i],
               0x1p-24 * std::fabs(exact.dbank[i]) + 1e-12 * exact.dbank_magnitude[i] + 1e-44);
}

}  // namespace

TEST(gradients_are_those_of_the_equations) {
  check::for_each_device([](vbl_stream *stream) {
    check::Random random(check::seed());
    check::Sample sample;
    for (int trial = 0; trial < 60; ++trial) {
      if (!sample.takes()) continue;
      const bool is_long = trial % 10 == 0 && !check::kThreadSanitizer;
      const Shape shape = reference::random_shape(random, is_long ? 1500 : 60, 40, trial % 7 == 0 ? 600 : 70);
      const Input input = random_input(random, shape);
      check_gradients(shape, input, backward(stream, shape, input, trial % 3 == 0));
    }
  });
}

// Lengths around the widths of vectors, teams and tiles; uses that do not fill their last chunk.
TEST(every_length_and_topk_has_its_gradients) {
  check::for_each_device([](vbl_stream *stream) {
    check::Random random(check::seed());
    check::Sample sample;
    for (const int32_t length : {1, 2, 3, 4, 8, 64, 68, 255, 256, 257, 520}) {
      for (const int32_t topk : {1, 2, 3, 32, 40}) {
        if (!sample.takes()) continue;
        const Shape shape = {topk < 8 ? 75 : 11, topk == 1 ? 1 : 47, length, topk};
        Input input = chosen_input(random, shape, Choice::uniform);
        if (topk == 2) input.slots.clear();
        check_gradients(shape, input, backward(stream, shape, input));
        check_gradients(shape, input, backward(stream, shape, input, 1));
      }
    }
    std::vector<Shape> shapes = {{5, 500, 6, 500}};
    if (check::kThreadSanitizer)
      shapes.push_back({33, 311, 3, 2});
    else
      shapes.insert(shapes.end(), {{33, 20011, 3, 2}, {5, 65536, 3, 2}, {2, 65536, 3, 40}});
    for (const Shape &shape : shapes) {
      const Input input = chosen_input(random, shape, Choice::uniform);
      check_gradients(shape, input, backward(stream, shape, input));
    }
  });
}

// Enough uses for chunks of several batches, counters of several hundred tiles, and pieces of several warps.
TEST(many_rows_have_their_gradients) {
  check::for_each_device([](vbl_stream *stream) {
    check::Random random(check::seed());
    const int32_t part = check::kThreadSanitizer ? 20 : 1;
    for (const Shape &shape : {Shape{11003 / part, 4200 / part, 2, 2}, Shape{23001 / part, 5, 4, 1}}) {
      const Input input = chosen_input(random, shape, Choice::uniform);
      check_gradients(shape, input, backward(stream, shape, input));
    }
  });
}

// The uses of a vector then span many chunks.
TEST(skewed_selections_have_their_gradients) {
  check::for_each_device([](vbl_stream *stream) {
    check::Random random(check::seed());
    for (const Choice choice : {Choice::alike, Choice::zipf}) {
      for (const int32_t length : {37, 68, 256}) {
        const Shape shape = {check::kThreadSanitizer ? 200 : 1700, 50, length, 2};
        const Input input = chosen_input(random, shape, choice);
        check_gradients(shape, input, backward(stream, shape, input));
      }
    }
    // One vector for the first rows, another one for the rest: their ends at a chunk's end, before it and behind it.
    for (const int64_t first : {799, 800, 801}) {
      if (check::kThreadSanitizer && first != 799) continue;
      const Shape shape = {1600, 3, 40, 1};
      Input input = chosen_input(random, shape, Choice::alike);
      for (int64_t row = 0; row < shape.rows; ++row) input.indices[row] = row < first ? 2 : 0;
      check_gradients(shape, input, backward(stream, shape, input));
    }
  });
}

// Another order of summation in float64 changes what is rounded to float32 about once in 10^7 numbers.
TEST(all_devices_give_the_same_bits_nearly_always) {
  check::on_cuda([](vbl_stream *stream) {
    check::Random random(check::seed());
    for (const Choice choice : {Choice::uniform, Choice::alike, Choice::zipf}) {
      const Shape shape = {check::kThreadSanitizer ? 100 : 1500, 64, 128, 2};
      const Input input = chosen_input(random, shape, choice);
      const Gradients cpu = backward(check::CpuStream(2), shape, input), cuda = backward(stream, shape, input);
      size_t different = 0;
      for (size_t i = 0; i < cpu.dlogits.size(); ++i) different += cpu.dlogits[i] != cuda.dlogits[i];
      for (size_t i = 0; i < cpu.dbank.size(); ++i) different += cpu.dbank[i] != cuda.dbank[i];
      CHECK(different <= 3);
    }
  });
}

TEST(gradients_do_not_depend_on_threads) {
  check::Random random(check::seed());
  for (const Choice choice : {Choice::uniform, Choice::alike, Choice::zipf}) {
    const Shape shape = {9000, 90, 16, 4};  // enough uses that they are sorted in pieces
    const Input input = chosen_input(random, shape, choice);
    const Gradients one = backward(check::CpuStream(1), shape, input);
    check_gradients(shape, input, one);
    for (const int threads : {2, 5}) CHECK(same(one, backward(check::CpuStream(threads), shape, input)));
  }
}

// Whatever memory holds; from a graph as well as without one.
TEST(gradients_are_the_same_from_a_graph) {
  check::on_cuda([](vbl_stream *stream) {
    check::Random random(check::seed());
    for (const Choice choice : {Choice::uniform, Choice::zipf}) {
      const Shape shape = {check::kThreadSanitizer ? 100 : 700, 30, 72, 2};
      const Input input = chosen_input(random, shape, choice);
      const Gradients one = backward(stream, shape, input);

      Call call(stream, shape, chosen_input(random, shape, Choice::alike));
      vbl_graph *graph = nullptr;
      CHECK_STATUS(VBL_OK, vbl_graph_begin(stream));
      call.run(stream);
      CHECK_STATUS(VBL_OK, vbl_graph_end(stream, &graph));
      CHECK_STATUS(VBL_OK, vbl_graph_launch(stream, graph));
      call.bank.set(input.bank);
      call.dpacked.set(input.dpacked);
      call.weights.set(input.weights);
      call.indices.set(input.indices);
      call.slots.set(input.slots);
      CHECK_STATUS(VBL_OK, vbl_graph_launch(stream, graph));
      CHECK(same(one, call.gradients()));
      CHECK_STATUS(VBL_OK, vbl_graph_destroy(graph));
    }
  });
}

// What a CUDA stream can't refuse: the rest is as if such uses were not there.
TEST(what_is_out_of_range_is_left_out) {
  check::on_cuda([](vbl_stream *stream) {
    check::Random random(check::seed());
    for (const int32_t length : {12, 13}) {
      const Shape shape = {90, 6, length, 2};
      Input input = chosen_input(random, shape, Choice::uniform), clean = input;
      const auto leave_out = [&](int64_t use) { clean.weights[use] = 0; };
      input.indices[2 * 3] = 6, input.indices[2 * 50 + 1] = -1, input.indices[2 * 89 + 1] = INT32_MIN;
      input.slots[9] = 90, input.slots[10] = -1;
      for (const int64_t use : {2 * 3, 2 * 50 + 1, 2 * 89 + 1, 2 * 9, 2 * 9 + 1, 2 * 10, 2 * 10 + 1}) leave_out(use);
      const Gradients found = backward(stream, shape, input);
      const reference::Gradients exact = reference::backward(shape, clean);
      for (size_t i = 0; i < exact.dbank.size(); ++i)
        CHECK_NEAR(found.dbank[i], exact.dbank[i],
                   0x1p-24 * std::fabs(exact.dbank[i]) + 1e-12 * exact.dbank_magnitude[i]);
      for (int64_t row = 0; row < shape.rows; ++row) {
        const bool bad = row == 3 || row == 50 || row == 89 || row == 9 || row == 10;
        for (int64_t i = 2 * row; i < 2 * row + 2; ++i) {
          if (bad) {
            CHECK(std::isnan(found.dlogits[i]));
          } else {
            CHECK_NEAR(found.dlogits[i], exact.dlogits[i], 0x1p-24 * std::fabs(exact.dlogits[i]) + 1e-13);
          }
        }
      }
    }
  });
}

TEST(sizes_beyond_the_counters_are_refused) {
  check::on_cuda([](vbl_stream *stream) {
    const auto refused = [&](const vbl_admixture &admixture, const char *message) {
      CHECK(vbl_admixture_backward_scratch_bytes(stream, &admixture) == -VBL_UNSUPPORTED);
      if (std::strstr(vbl_last_error(), message) == nullptr)
        check::failed(__FILE__, __LINE__, "message '%s' lacks '%s'", vbl_last_error(), message);
    };
    refused({int64_t{1} << 30, 2, 1, 2, nullptr}, "found 2147483648");
    refused({INT32_MAX, 1 << 24, INT32_MAX, 1 << 24, nullptr}, "rows · topk must");
    refused({1 << 20, 1 << 20, 1 << 23, 1, nullptr}, "vector_length must");
    refused({1, 1 << 24, 1 << 15, 1, nullptr}, "vector_length at most 2^38");
    const vbl_admixture admixture = {int64_t{1} << 30, 2, 1, 2, nullptr};
    float x = 0;
    int32_t i = 0;
    CHECK_STATUS(VBL_UNSUPPORTED, vbl_admixture_backward(stream, &admixture, &x, &i, &x, &x, &x, &x, &x, INT64_MAX));
  });
}

// The derivative of L = <dpacked, packed(logits, bank)>, computed in float64 with the selection held fixed.
TEST(gradients_agree_with_central_differences) {
  check::for_each_device([](vbl_stream *stream) {
    check::Random random(check::seed());
    check::Sample sample;
    for (int trial = 0; trial < 20; ++trial) {
      if (!sample.takes()) continue;
      Shape shape = reference::random_shape(random, 8, 12, 9);
      const int64_t h = shape.num_vectors, b = shape.vector_length, k = shape.topk;
      const std::vector<float> logits = check::normals(random, shape.rows * h, 1.0f);
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
  });
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
