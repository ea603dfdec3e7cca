// What is captured into a CUDA graph gives, each time it is launched, the bits that the ops give one by one.
#include <dlfcn.h>

#include "device.h"
#include "every_op.h"

using every_op::Outputs;
using every_op::Shape;

namespace {

// A graph for the length of a scope.
class Graph {
 public:
  // Captures what body gives to the stream. On the SIMT host the library's kernels have not been used before then: their
  // first use within a capture would be refused.
  template <typename Body>
  Graph(vbl_stream *stream, const Body &body) : stream_(stream) {
    if (void *const unload = dlsym(RTLD_DEFAULT, "simt_unload_kernels")) reinterpret_cast<void (*)()>(unload)();
    CHECK_STATUS(VBL_OK, vbl_graph_begin(stream));
    body();
    CHECK_STATUS(VBL_OK, vbl_graph_end(stream, &graph_));
  }
  ~Graph() { CHECK_STATUS(VBL_OK, vbl_graph_destroy(graph_)); }
  Graph(const Graph &) = delete;
  Graph &operator=(const Graph &) = delete;

  void launch() const { CHECK_STATUS(VBL_OK, vbl_graph_launch(stream_, graph_)); }

 private:
  vbl_stream *stream_;
  vbl_graph *graph_ = nullptr;
};

// Ops: reset() and run(outputs), as every_op's. Both runs begin with the same inputs and end in memory of their own.
template <typename Ops>
void same_in_a_graph(vbl_stream *stream, const Ops &eager, const Ops &captured) {
  Outputs expected(stream), found(stream);
  eager.run(expected);
  captured.run(found);  // allocates
  captured.reset();
  found.clear();
  found.restart();
  const Graph graph(stream, [&] { captured.run(found); });
  CHECK(expected.difference(found) != "");  // captured, not run
  for (int launch = 1; launch <= 2; ++launch) {
    captured.reset();
    found.clear();
    graph.launch();
    const std::string difference = expected.difference(found);
    if (!difference.empty()) check::failed(__FILE__, __LINE__, "%s differs at launch %d", difference.c_str(), launch);
  }
}

// Training of one module with `topk` of `num_vectors` for each of the sub-vectors of A and Bᵀ, which lie in one packed
// buffer: a whole step, whose input and output gradient are the same each time.
class Training {
 public:
  Training(vbl_stream *stream, const every_op::LowRankShape &lowrank, int32_t vector_length, int32_t num_vectors,
           int32_t topk)
      : stream_(stream), s(lowrank), l(s.group()),
        shape{s.r * (s.in + s.out) / vector_length, num_vectors, vector_length, topk}, admixture(shape.admixture()),
        random(check::seed()), x(normals(s.tokens * s.in, 1)), dy(normals(s.tokens * s.out, 1)),
        bank(normals(int64_t{num_vectors} * vector_length, 0.1f)), bank_exp_avg(stream, bank.size(), 0.0f),
        bank_exp_avg_sq(stream, bank.size(), 0.0f), dbank(stream, bank.size(), NAN),
        logits(normals(shape.rows * num_vectors, 0.1f)), y(stream, s.tokens * s.out, NAN),
        dx(stream, s.tokens * s.in, NAN), p(stream, s.tokens * s.r, NAN), q(stream, s.tokens * s.r, NAN),
        packed(stream, shape.rows * vector_length, NAN), dpacked(stream, packed.size(), NAN),
        weights(stream, shape.rows * topk, NAN), dlogits(stream, shape.rows * topk, NAN),
        indices(stream, shape.rows * topk, -1), bad_row(stream, 1, int64_t{-2}), sum(stream, 1, NAN),
        constants(stream, 1, reference::AdamwStep{}), lowrank_scratch(stream, vbl_lowrank_scratch_bytes(stream, &l), 1),
        backward_scratch(stream, vbl_admixture_backward_scratch_bytes(stream, &admixture), 2),
        sum_scratch(stream, vbl_sum_squares_scratch_bytes(stream, bank.size()), 3),
        active_scratch(stream, vbl_active_scratch_bytes(stream, &admixture), 4), arrays(stream, 0),
        set(arrays, shape, num_vectors, topk) {
    CHECK_STATUS(VBL_OK, vbl_select(stream, &admixture, logits.data(), indices.data(), weights.data(), bad_row.data()));
    CHECK_STATUS(VBL_OK, vbl_active_load(stream, &admixture, &set.active, logits.data(), nullptr, nullptr,
                                         active_scratch.data(), active_scratch.size()));
  }

  // For the step that follows.
  void set_constants(int64_t step, double learning_rate) {
    reference::AdamwStep next = {};
    next.step = step;
    next.seed = check::seed();
    next.gradient_scale = 0.5f;
    CHECK_STATUS(VBL_OK, vbl_adamw_group_set(&next.group[0], step, learning_rate, 0.9, 0.999, 1e-8, 0));
    CHECK_STATUS(VBL_OK, vbl_adamw_group_set(&next.group[1], step, 10 * learning_rate, 0.9, 0.999, 1e-8, 0));
    constants.set({next});
  }

  void step() const {
    float *const a = packed.data(), *const bt = a + s.r * s.in;
    float *const da = dpacked.data(), *const dbt = da + s.r * s.in;
    const vbl_lowrank_matrices of = {a, bt, p.data(), y.data(), dy.data(), q.data(), da, dbt};
    CHECK_STATUS(VBL_OK, vbl_compose(stream_, &admixture, bank.data(), indices.data(), weights.data(), a, VBL_FLOAT32));
    zero(y);
    CHECK_STATUS(VBL_OK, vbl_lowrank_forward(stream_, &l, constants.data(), x.data(), &of));
    zero(dx);
    zero(dpacked);
    CHECK_STATUS(VBL_OK, vbl_lowrank_backward(stream_, &l, constants.data(), x.data(), &of, dx.data(),
                                              lowrank_scratch.data(), lowrank_scratch.size()));
    CHECK_STATUS(
        VBL_OK, vbl_admixture_backward(stream_, &admixture, bank.data(), indices.data(), weights.data(), dpacked.data(),
                                       dlogits.data(), dbank.data(), backward_scratch.data(), backward_scratch.size()));
    zero(sum);
    for (const check::Array<float> *gradient : {&dbank, &dlogits})
      CHECK_STATUS(VBL_OK, vbl_sum_squares(stream_, gradient->size(), gradient->data(), sum.data(), sum_scratch.data(),
                                           sum_scratch.size()));
    CHECK_STATUS(VBL_OK, vbl_clip(stream_, sum.data(), 1, constants.data()));
    CHECK_STATUS(VBL_OK, vbl_adamw(stream_, bank.size(), constants.data(), constants.data()->group, bank.data(),
                                   dbank.data(), bank_exp_avg.data(), bank_exp_avg_sq.data()));
    CHECK_STATUS(
        VBL_OK, vbl_adamw_active_select(stream_, &admixture, &set.active, constants.data(), constants.data()->group + 1,
                                        logits.data(), dlogits.data(), indices.data(), weights.data(), bad_row.data(),
                                        active_scratch.data(), active_scratch.size()));
  }

  void add_to(Outputs &outputs) const {
    outputs.add("y", y);
    outputs.add("dx", dx);
    outputs.add("step", constants);
    outputs.add("bank", bank);
    outputs.add("indices", indices);
    outputs.add("weights", weights);
    outputs.add("bad_row", bad_row);
    set.add_to(outputs, "active");
  }
  std::vector<int32_t> selected() const { return indices.get(); }

 private:
  check::Array<float> normals(int64_t n, float scale) {
    return check::Array<float>(stream_, check::normals(random, n, scale));
  }
  template <typename T>
  void zero(const check::Array<T> &array) const {
    CHECK_STATUS(VBL_OK, vbl_memset(stream_, array.data(), 0, array.size() * static_cast<int64_t>(sizeof(T))));
  }

  vbl_stream *stream_;
  every_op::LowRankShape s;
  vbl_lowrank l;
  Shape shape;
  vbl_admixture admixture;
  check::Random random;
  check::Array<float> x, dy, bank, bank_exp_avg, bank_exp_avg_sq, dbank, logits, y, dx, p, q, packed, dpacked, weights,
      dlogits;
  check::Array<int32_t> indices;
  check::Array<int64_t> bad_row;
  check::Array<double> sum;
  check::Array<reference::AdamwStep> constants;
  check::Array<char> lowrank_scratch, backward_scratch, sum_scratch, active_scratch;
  every_op::Arrays arrays;
  every_op::ActiveSet set;
};

}  // namespace

TEST(all_ops_of_an_optimizer_step_are_the_same_in_a_graph) {
  check::on_cuda([](vbl_stream *stream) {
    check::Random random(check::seed());
    for (const Shape &shape : {Shape{20, 300, 12, 3}, Shape{9, 130, 8, 40}}) {
      const every_op::Input input(random, shape);
      same_in_a_graph(stream, every_op::Step(stream, input, 0, 5), every_op::Step(stream, input, 0, 9));
    }
  });
}

TEST(low_rank_ops_are_the_same_in_a_graph) {
  check::on_cuda([](vbl_stream *stream) {
    for (const every_op::LowRankShape &s :
         {every_op::LowRankShape{9, 300, 140, 2, 3, 0.3f, 0.5f, 1, VBL_FLOAT32, VBL_BFLOAT16},
          every_op::LowRankShape{37, 60, 52, 9, 1, 0.3f, 2, 0, VBL_BFLOAT16, VBL_FLOAT32}})
      same_in_a_graph(stream, every_op::LowRank(stream, s, check::seed(), 0, 5),
                      every_op::LowRank(stream, s, check::seed(), 0, 9));
  });
}

TEST(ops_around_products_are_the_same_in_a_graph) {
  check::on_cuda([](vbl_stream *stream) {
    const every_op::ActivationShape s = {37, 264, VBL_BFLOAT16};
    same_in_a_graph(stream, every_op::Transformer(stream, s, check::seed(), 0),
                    every_op::Transformer(stream, s, check::seed(), 0));
  });
}

// Learning rates, bias corrections, clip factor and dropout's keys change from step to step: a graph reads them when it is
// launched.
TEST(a_whole_step_is_replayed_as_one_graph) {
  check::on_cuda([](vbl_stream *stream) {
    const every_op::LowRankShape s = {11, 96, 64, 4, 1, 0.25f, 1, 0, VBL_FLOAT32, VBL_FLOAT32};
    Training eager(stream, s, 16, 50, 2), replayed(stream, s, 16, 50, 2);
    const std::vector<int32_t> first = eager.selected();
    const Graph graph(stream, [&] { replayed.step(); });
    for (int t = 1; t <= 12; ++t) {
      const double learning_rate = 0.003 * (13 - t);
      for (Training *training : {&eager, &replayed}) training->set_constants(t, learning_rate);
      eager.step();
      graph.launch();
      Outputs expected(stream), found(stream);
      eager.add_to(expected);
      replayed.add_to(found);
      const std::string difference = expected.difference(found);
      if (!difference.empty()) check::failed(__FILE__, __LINE__, "%s differs after step %d", difference.c_str(), t);
    }
    CHECK(eager.selected() != first);  // steps large enough for another selection
  });
}
