// vbl_select against a stable sort and a float64 softmax, on every device.
#include "admixture/reference.h"
#include "device.h"

using reference::Shape;

namespace {

struct Selected {
  std::vector<int32_t> indices;
  std::vector<float> weights;
  int64_t bad_row = -2;
};

// shift: elements by which the logits are off a 16-byte boundary.
Selected select(vbl_stream *stream, const Shape &shape, const std::vector<float> &logits, int64_t shift = 0) {
  const check::Array<float> x(stream, logits, shift), weights(stream, shape.rows * shape.topk, -1.0f);
  const check::Array<int32_t> indices(stream, shape.rows * shape.topk, -1);
  const check::Array<int64_t> bad_row(stream, 1, -2);
  const vbl_admixture admixture = shape.admixture();
  CHECK_STATUS(VBL_OK, vbl_select(stream, &admixture, x.data(), indices.data(), weights.data(), bad_row.data()));
  return {indices.get(), weights.get(), bad_row.get()[0]};
}

bool same(const Selected &a, const Selected &b) {
  return a.indices == b.indices && check::same_bits(a.weights, b.weights) && a.bad_row == b.bad_row;
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
  check::for_each_device([](vbl_stream *stream) {
    check::Random random(check::seed());
    check::Sample sample;
    for (int trial = 0; trial < 100; ++trial) {
      if (!sample.takes()) continue;
      const Shape shape = reference::random_shape(random, 40, trial % 10 == 0 ? 3000 : 200, 4);
      std::vector<float> logits = check::normals(random, shape.rows * shape.num_vectors, 0.1f);
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
      check_against_reference(shape, logits, select(stream, shape, logits, random.between(0, 3)));
    }
  });
}

// Every way in which a row can be cut: by k, by length and by alignment.
TEST(selects_for_every_k_from_rows_of_every_length) {
  check::for_each_device([](vbl_stream *stream) {
    check::Random random(check::seed());
    check::Sample sample;
    for (const int32_t num_vectors : {1, 2, 90, 128, 129, 132, 350, 512, 2048}) {
      for (const int32_t topk : {1, 2, 3, 4, 5, 8, 31, 32, 33, 100, num_vectors}) {
        if (topk > num_vectors || !sample.takes()) continue;
        const Shape shape = {topk > 32 ? 3 : num_vectors > 1000 ? 9 : 17, num_vectors, 1, topk};
        std::vector<float> logits = check::normals(random, shape.rows * num_vectors, 0.1f);
        if (topk % 2 == 0)  // ties
          for (float &x : logits) x = std::round(x * 40) * 0.025f;
        check_against_reference(shape, logits, select(stream, shape, logits, topk % 4));
      }
    }
  });
}

TEST(selects_from_the_longest_row) {
  check::for_each_device([](vbl_stream *stream) {
    check::Random random(check::seed());
    for (const int32_t topk : {1, 2, 4, 20, 300, 65536}) {
      const Shape shape = {2, 65536, 1, topk};
      const std::vector<float> logits = check::normals(random, shape.rows * shape.num_vectors, 1.0f);
      check_against_reference(shape, logits, select(stream, shape, logits, topk % 2));
    }
  });
}

TEST(equal_logits_go_by_index) {
  check::for_each_device([](vbl_stream *stream) {
    check::Sample sample;
    for (const int32_t num_vectors : {1, 2, 15, 64, 90, 257, 2048}) {
      for (const int32_t most : {1, 2, 4, 5, 32, 40}) {
        if (!sample.takes()) continue;
        const Shape shape = {3, num_vectors, 1, std::min(num_vectors, most)};
        std::vector<float> logits(static_cast<size_t>(shape.rows * num_vectors));
        for (size_t i = 0; i < logits.size(); ++i) logits[i] = i % 3 == 0 ? 0.0f : -0.0f;
        const Selected found = select(stream, shape, logits);
        for (int64_t i = 0; i < shape.rows * shape.topk; ++i) {
          CHECK(found.indices[i] == i % shape.topk);
          CHECK(found.weights[i] == 1.0f / static_cast<float>(shape.topk));
        }
      }
    }
  });
}

TEST(reports_the_lowest_bad_row) {
  check::for_each_device([](vbl_stream *stream) {
    check::Random random(check::seed());
    for (const int32_t topk : {3, 7, 40}) {
      const Shape shape = {topk == 40 ? 8 : 100, 77, 1, topk};
      const int64_t last = shape.rows - 1, lower = shape.rows / 2;
      const std::vector<float> good = check::normals(random, shape.rows * shape.num_vectors, 1.0f);
      for (const float bad : {NAN, -NAN, INFINITY}) {
        for (const int64_t place : {0, 40, 76}) {
          if (check::kThreadSanitizer && (place != 40 || !std::isinf(bad))) continue;
          std::vector<float> logits = good;
          logits[last * 77 + place] = bad;
          CHECK(select(stream, shape, logits).bad_row == last);
          logits[(lower + 1) * 77 + place] = bad;
          logits[lower * 77 + 76 - place] = bad;
          const Selected found = select(stream, shape, logits);
          CHECK(found.bad_row == lower);
          CHECK(found.indices[lower * topk] == 76 - place);
          for (int j = 0; j < topk; ++j) CHECK(std::isnan(found.weights[lower * topk + j]));
          for (int j = 0; j < topk; ++j)
            CHECK(found.weights[(lower - 1) * topk + j] > 0 && found.weights[(lower - 1) * topk + j] < 1);
        }
      }
      std::vector<float> logits = good;
      std::fill(logits.begin() + 5 * 77, logits.begin() + 6 * 77, -INFINITY);
      CHECK(select(stream, shape, logits).bad_row == 5);
    }
  });
}

TEST(nan_stands_before_every_number) {
  check::for_each_device([](vbl_stream *stream) {
    const std::vector<int32_t> order = {1, 4, 2, 3, 5, 0};
    for (int32_t topk = 1; topk <= 6; ++topk) {
      const Selected found = select(stream, {1, 6, 1, topk}, {1, NAN, INFINITY, 2, -NAN, 2});
      CHECK(found.indices == std::vector<int32_t>(order.begin(), order.begin() + topk));
      CHECK(found.bad_row == 0);
    }
  });
}

// The same bits as on the CPU, and from captured work.
TEST(selection_is_the_same_from_a_graph) {
  check::on_cuda([](vbl_stream *stream) {
    check::Random random(check::seed());
    for (const int32_t topk : {2, 9, 50}) {
      const Shape shape = {topk == 50 ? 4 : 20, 130, 1, topk};
      std::vector<float> logits = check::normals(random, shape.rows * shape.num_vectors, 0.1f);
      const Selected first = select(stream, shape, logits);
      CHECK(same(first, select(check::CpuStream(), shape, logits)));

      const vbl_admixture admixture = shape.admixture();
      check::Array<float> x(stream, logits), weights(stream, shape.rows * topk, -1.0f);
      check::Array<int32_t> indices(stream, shape.rows * topk, -1);
      check::Array<int64_t> bad_row(stream, 1, -2);
      vbl_graph *graph = nullptr;
      CHECK_STATUS(VBL_OK, vbl_graph_begin(stream));
      CHECK_STATUS(VBL_OK, vbl_select(stream, &admixture, x.data(), indices.data(), weights.data(), bad_row.data()));
      CHECK_STATUS(VBL_OK, vbl_graph_end(stream, &graph));
      for (int run = 0; run < 2; ++run) {
        logits = check::normals(random, shape.rows * shape.num_vectors, 0.1f);
        if (run == 0) logits[3 * 130 + 100] = NAN;
        x.set(logits);
        CHECK_STATUS(VBL_OK, vbl_graph_launch(stream, graph));
        CHECK(same({indices.get(), weights.get(), bad_row.get()[0]}, select(stream, shape, logits)));
      }
      CHECK_STATUS(VBL_OK, vbl_graph_destroy(graph));
    }
  });
}

TEST(selection_does_not_depend_on_threads) {
  check::Random random(check::seed());
  const Shape shape = {3000, 90, 1, 2};
  const std::vector<float> logits = check::normals(random, shape.rows * shape.num_vectors, 0.1f);
  const Selected one = select(check::CpuStream(1), shape, logits);
  for (const int threads : {2, 5}) {
    const Selected many = select(check::CpuStream(threads), shape, logits);
    CHECK(one.indices == many.indices && check::same_bits(one.weights, many.weights));
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
  for (const vbl_admixture &bad :
       {vbl_admixture{0, 3, 4, 2, nullptr}, vbl_admixture{int64_t{1} << 31, 3, 4, 2, nullptr},
        vbl_admixture{2, 0, 4, 1, nullptr}, vbl_admixture{2, (1 << 24) + 1, 4, 2, nullptr},
        vbl_admixture{2, 3, 0, 2, nullptr}, vbl_admixture{2, 3, 4, 0, nullptr}, vbl_admixture{2, 3, 4, 4, nullptr}})
    CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_select(stream, &bad, logits, indices, weights, &bad_row));
  CHECK(std::strcmp(vbl_last_error(), "vbl_select: topk must lie in 1 .. num_vectors = 3, found 4") == 0);
}
