// The active-set state: vbl_adamw_active_select must give the very bits of vbl_adamw_select.
#include "admixture/reference.h"

using reference::Shape;

namespace {

// A state and its memory.
struct State {
  std::vector<int32_t> count, index, candidate_count, candidate_index, max_count;
  std::vector<float> logit, exp_avg, exp_avg_sq;
  vbl_active active;

  State(const Shape &shape, int32_t capacity, int32_t candidates)
      : count(static_cast<size_t>(shape.rows), -1),
        index(static_cast<size_t>(shape.rows * capacity), -1),
        candidate_count(count.size(), -1),
        candidate_index(static_cast<size_t>(shape.rows * candidates), -1),
        max_count(1, -1),
        logit(index.size(), NAN),
        exp_avg(index.size(), NAN),
        exp_avg_sq(index.size(), NAN) {
    active = {capacity,       candidates,        count.data(),           index.data(),           logit.data(),
              exp_avg.data(), exp_avg_sq.data(), candidate_count.data(), candidate_index.data(), max_count.data()};
  }
  State(const State &) = delete;
  State(State &&) = default;  // moving a vector keeps its memory
  State &operator=(State &&) = default;

  bool same_lists(const State &other) const {
    return count == other.count && index == other.index && candidate_count == other.candidate_count &&
           candidate_index == other.candidate_index && reference::same_bits(logit, other.logit) &&
           reference::same_bits(exp_avg, other.exp_avg) && reference::same_bits(exp_avg_sq, other.exp_avg_sq);
  }
};

State copy_of(vbl_stream *stream, const Shape &shape, const State &state, int32_t capacity, int32_t candidates) {
  State larger(shape, capacity, candidates);
  const vbl_admixture admixture = shape.admixture();
  CHECK_STATUS(VBL_OK, vbl_active_copy(stream, &admixture, &state.active, &larger.active));
  return larger;
}

class Scratch {
 public:
  Scratch(vbl_stream *stream, const Shape &shape) {
    const vbl_admixture admixture = shape.admixture();
    memory_.resize(static_cast<size_t>(vbl_active_scratch_bytes(stream, &admixture)));
  }
  void *data() { return memory_.data(); }
  int64_t bytes() const { return static_cast<int64_t>(memory_.size()); }

 private:
  std::vector<char> memory_;
};

void load(vbl_stream *stream, const Shape &shape, const State &state, const std::vector<float> &logits,
          const float *exp_avg, const float *exp_avg_sq) {
  const vbl_admixture admixture = shape.admixture();
  Scratch scratch(stream, shape);
  CHECK_STATUS(VBL_OK, vbl_active_load(stream, &admixture, &state.active, logits.data(), exp_avg, exp_avg_sq,
                                       scratch.data(), scratch.bytes()));
}

// Dense logits with their moments and selection: one trajectory of the optimizer.
struct Trajectory {
  std::vector<float> logits, exp_avg, exp_avg_sq, weights;
  std::vector<int32_t> indices;
  int64_t bad_row = -2;
};

Trajectory start(const Shape &shape, const std::vector<float> &logits) {
  Trajectory t;
  t.logits = logits;
  t.exp_avg.assign(logits.size(), 0.0f);
  t.exp_avg_sq = t.exp_avg;
  t.indices.assign(static_cast<size_t>(shape.rows * shape.topk), -1);
  t.weights.assign(t.indices.size(), NAN);
  const vbl_admixture admixture = shape.admixture();
  CHECK_STATUS(VBL_OK, vbl_select(check::CpuStream(1), &admixture, logits.data(), t.indices.data(), t.weights.data(),
                                  &t.bad_row));
  return t;
}

vbl_step step_of(int64_t t, double learning_rate) {
  vbl_step step = {};
  step.step = t;
  step.gradient_scale = 0.25f;
  step.clip_factor = 0.9f;
  CHECK_STATUS(VBL_OK, vbl_adamw_group_set(&step.group[1], t, learning_rate, 0.9, 0.999, 1e-8, 0));
  return step;
}

// Warm-up from 0, large and small rates, and rates of exactly 0 in between.
double learning_rate_at(int t) { return t % 11 == 1 ? 0 : t % 3 == 0 ? 0.05 : 1e-3 * (t % 40); }

// Gradients that mostly push the selected logits down, so that others take their place, and now and then are zero.
std::vector<float> gradients_at(check::Random &random, const Shape &shape) {
  std::vector<float> dlogits = reference::normal(random, shape.rows * shape.topk, 0.01f);
  for (float &x : dlogits) x = random.between(0, 9) == 0 ? 0 : x + 0.006f;
  return dlogits;
}

struct Statistics {
  int grown = 0, reloaded = 0;
  int64_t active = 0;
};

// Runs both forms side by side. The state starts as small as it may be and grows when it must.
Statistics compare_with_dense(const Shape &shape, int32_t candidates, int steps, int threads, float quantum = 0) {
  Statistics statistics;
  check::Random random(check::seed());
  check::CpuStream stream(threads);
  Scratch scratch(stream, shape);
  const vbl_admixture admixture = shape.admixture();
  std::vector<float> logits = reference::normal(random, shape.rows * shape.num_vectors, 0.1f);
  if (quantum > 0)  // ties
    for (float &x : logits) x = std::round(x / quantum) * quantum;
  Trajectory dense = start(shape, logits), sparse = dense;
  State state(shape, shape.topk, candidates);
  load(stream, shape, state, sparse.logits, nullptr, nullptr);
  CHECK(state.max_count[0] == 0);

  for (int t = 1; t <= steps; ++t) {
    const vbl_step step = step_of(t, learning_rate_at(t));
    const std::vector<float> dlogits = gradients_at(random, shape);
    CHECK_STATUS(VBL_OK, vbl_adamw_select(stream, &admixture, &step, 1, dense.logits.data(), dlogits.data(),
                                          dense.exp_avg.data(), dense.exp_avg_sq.data(), dense.indices.data(),
                                          dense.weights.data(), &dense.bad_row));
    const auto pass = [&] {
      return vbl_adamw_active_select(stream, &admixture, &state.active, &step, 1, sparse.logits.data(), dlogits.data(),
                                     sparse.indices.data(), sparse.weights.data(), &sparse.bad_row, scratch.data(),
                                     scratch.bytes());
    };
    const State before = copy_of(stream, shape, state, state.active.capacity, candidates);
    const Trajectory selected = sparse;
    vbl_status status = pass();
    if (status == VBL_CAPACITY) {
      ++statistics.grown;
      const int32_t need = state.max_count[0];
      CHECK(need > state.active.capacity && need <= state.active.capacity + shape.topk && need <= shape.num_vectors);
      // Nothing but max_count has changed. (The copy leaves what is beyond the counts unset: compare by copies.)
      CHECK(copy_of(stream, shape, state, state.active.capacity, candidates).same_lists(before));
      CHECK(sparse.indices == selected.indices && reference::same_bits(sparse.weights, selected.weights));
      CHECK(sparse.bad_row == selected.bad_row);
      state = copy_of(stream, shape, state, std::min(need + (t % 2 == 0 ? 0 : 3), shape.num_vectors), candidates);
      status = pass();
    }
    CHECK_STATUS(VBL_OK, status);
    CHECK(sparse.indices == dense.indices && reference::same_bits(sparse.weights, dense.weights));
    CHECK(sparse.bad_row == dense.bad_row);
    CHECK(state.max_count[0] == *std::max_element(state.count.begin(), state.count.end()));

    if (t % 97 == 0 || t == steps) {
      CHECK_STATUS(VBL_OK, vbl_active_store(stream, &admixture, &state.active, sparse.logits.data(),
                                            sparse.exp_avg.data(), sparse.exp_avg_sq.data()));
      CHECK(reference::same_bits(sparse.logits, dense.logits));
      CHECK(reference::same_bits(sparse.exp_avg, dense.exp_avg) && reference::same_bits(sparse.exp_avg_sq, dense.exp_avg_sq));
      State reloaded(shape, state.max_count[0], candidates + t % 2);
      load(stream, shape, reloaded, sparse.logits, sparse.exp_avg.data(), sparse.exp_avg_sq.data());
      state = copy_of(stream, shape, reloaded, state.active.capacity, candidates);
      ++statistics.reloaded;
    }
  }
  for (const int32_t count : state.count) statistics.active += count;
  return statistics;
}

}  // namespace

TEST(equals_dense_adamw_bit_for_bit_over_2000_steps) {
  const Shape shape = {6, 60, 1, 2};
  const Statistics statistics = compare_with_dense(shape, 2, 2000, 2);
  // The run must have been worth it: lists overflowed, states were reloaded, and most entries were activated.
  CHECK(statistics.grown >= 5 && statistics.reloaded >= 20);
  CHECK(statistics.active > shape.rows * shape.num_vectors / 2);
}

TEST(equals_dense_adamw_in_other_shapes) {
  CHECK(compare_with_dense({3, 1500, 1, 3}, 7, 400, 2).active > 3 * 20);
  CHECK(compare_with_dense({200, 40, 1, 2}, 5, 200, 5).active > 200 * 10);  // several pieces and workers
  CHECK(compare_with_dense({5, 90, 1, 8}, 20, 400, 2).grown >= 2);
  CHECK(compare_with_dense({4, 5, 1, 5}, 5, 100, 1).active == 4 * 5);      // topk = num_vectors
  CHECK(compare_with_dense({7, 1, 1, 1}, 3, 50, 2).active == 7);           // and more candidates than vectors
  CHECK(compare_with_dense({5, 70, 1, 1}, 1, 500, 2).active > 5 * 20);
}

TEST(equals_dense_adamw_among_ties) { CHECK(compare_with_dense({6, 50, 1, 3}, 4, 600, 2, 0.125f).active > 6 * 20); }

// An entry that is activated after others of the same logit still goes by its index, wherever it stands in the list.
TEST(equal_active_logits_go_by_index) {
  check::CpuStream stream;
  for (const int32_t active : {1, 2, 4, 8, 16, 17, 63, 64, 65, 80}) {
    const Shape shape = {1, 100, 1, 1};
    const vbl_admixture admixture = shape.admixture();
    Scratch scratch(stream, shape);
    Trajectory t = start(shape, std::vector<float>(100, 1.0f));
    std::fill(t.exp_avg.end() - active, t.exp_avg.end(), 0.5f);
    State state(shape, 100, 1);
    load(stream, shape, state, t.logits, t.exp_avg.data(), t.exp_avg_sq.data());
    CHECK(t.indices[0] == 0 && state.count[0] == active);
    const vbl_step step = step_of(1, 0);  // nothing moves
    const float dlogit = 0.1f;
    CHECK_STATUS(VBL_OK, vbl_adamw_active_select(stream, &admixture, &state.active, &step, 1, t.logits.data(), &dlogit,
                                                 t.indices.data(), t.weights.data(), &t.bad_row, scratch.data(),
                                                 scratch.bytes()));
    CHECK(state.count[0] == active + 1 && state.index[active] == 0);
    CHECK(t.indices[0] == 0);
  }
}

TEST(state_does_not_depend_on_threads) {
  const Shape shape = {300, 64, 1, 2};
  const vbl_admixture admixture = shape.admixture();
  std::vector<State> states;
  std::vector<Trajectory> trajectories;
  for (const int threads : {1, 2, 5}) {
    check::Random random(check::seed());
    check::CpuStream stream(threads);
    Scratch scratch(stream, shape);
    Trajectory t = start(shape, reference::normal(random, shape.rows * shape.num_vectors, 0.1f));
    State state(shape, 64, 3);
    load(stream, shape, state, t.logits, nullptr, nullptr);
    for (int step = 1; step <= 30; ++step) {
      const vbl_step constants = step_of(step, 0.05);
      const std::vector<float> dlogits = gradients_at(random, shape);
      CHECK_STATUS(VBL_OK, vbl_adamw_active_select(stream, &admixture, &state.active, &constants, 1, t.logits.data(),
                                                   dlogits.data(), t.indices.data(), t.weights.data(), &t.bad_row,
                                                   scratch.data(), scratch.bytes()));
    }
    states.push_back(copy_of(stream, shape, state, 64, 3));
    trajectories.push_back(t);
  }
  for (int i = 1; i < 3; ++i) {
    CHECK(states[i].same_lists(states[0]));
    CHECK(trajectories[i].indices == trajectories[0].indices);
    CHECK(reference::same_bits(trajectories[i].weights, trajectories[0].weights));
  }
}

// A NaN that a gradient brings in, and one that sits in a logit which was never selected.
TEST(reports_the_bad_rows_that_the_dense_form_reports) {
  check::Random random(check::seed());
  const Shape shape = {200, 30, 1, 2};
  const vbl_admixture admixture = shape.admixture();
  for (const int32_t where : {0, 1}) {
    check::CpuStream stream(where == 0 ? 1 : 5);
    Scratch scratch(stream, shape);
    std::vector<float> logits = reference::normal(random, shape.rows * shape.num_vectors, 0.1f);
    if (where == 1) logits[150 * 30 + 17] = NAN, logits[160 * 30 + 3] = INFINITY;
    Trajectory dense = start(shape, logits), sparse = dense;
    State state(shape, shape.num_vectors, 2);
    load(stream, shape, state, logits, nullptr, nullptr);
    for (int t = 1; t <= 12; ++t) {
      const vbl_step step = step_of(t, 0.05);
      std::vector<float> dlogits = gradients_at(random, shape);
      if (where == 0 && t == 5) dlogits[2 * 77 + 1] = NAN, dlogits[2 * 90] = NAN;
      CHECK_STATUS(VBL_OK, vbl_adamw_select(stream, &admixture, &step, 1, dense.logits.data(), dlogits.data(),
                                            dense.exp_avg.data(), dense.exp_avg_sq.data(), dense.indices.data(),
                                            dense.weights.data(), &dense.bad_row));
      CHECK_STATUS(VBL_OK, vbl_adamw_active_select(stream, &admixture, &state.active, &step, 1, sparse.logits.data(),
                                                   dlogits.data(), sparse.indices.data(), sparse.weights.data(),
                                                   &sparse.bad_row, scratch.data(), scratch.bytes()));
      CHECK(dense.bad_row == (where == 1 ? 150 : t < 5 ? -1 : 77));
      CHECK(sparse.bad_row == dense.bad_row && sparse.indices == dense.indices);
      CHECK(reference::same_bits(sparse.weights, dense.weights));
    }
  }
}

TEST(load_lists_entries_with_moments_and_keeps_the_best_of_the_rest) {
  check::CpuStream stream;
  const Shape shape = {2, 5, 1, 2};
  const std::vector<float> logits = {1, 5, 3, 4, 2, 0, 0, 7, 0, -0.0f};
  const std::vector<float> exp_avg = {0, 0.1f, 0, 0, 0, 0, 0, 0, 0, 0}, exp_avg_sq = {0, 0, 0, 0, 0.5f, 0, 0, 0, 0, 0};
  State state(shape, 2, 2);
  load(stream, shape, state, logits, exp_avg.data(), exp_avg_sq.data());
  CHECK((state.count == std::vector<int32_t>{2, 0}) && state.max_count[0] == 2);
  CHECK(state.index[0] == 1 && state.logit[0] == 5 && state.exp_avg[0] == 0.1f && state.exp_avg_sq[0] == 0);
  CHECK(state.index[1] == 4 && state.logit[1] == 2 && state.exp_avg[1] == 0 && state.exp_avg_sq[1] == 0.5f);
  CHECK((state.candidate_count == std::vector<int32_t>{2, 2}));
  CHECK((state.candidate_index == std::vector<int32_t>{3, 2, 2, 0}));

  // Three active entries do not fit: nothing but max_count changes.
  const std::vector<float> more = {1, 1, 1, 0, 0, 0, 0, 0, 0, 0};
  const vbl_admixture admixture = shape.admixture();
  Scratch scratch(stream, shape);
  CHECK_STATUS(VBL_CAPACITY, vbl_active_load(stream, &admixture, &state.active, logits.data(), more.data(), more.data(),
                                             scratch.data(), scratch.bytes()));
  CHECK(state.max_count[0] == 3 && state.count[0] == 2 && state.index[0] == 1);

  // Nor do they fit into a copy that is too small.
  State three(shape, 3, 2);
  load(stream, shape, three, logits, more.data(), more.data());
  state.max_count[0] = 0;
  CHECK_STATUS(VBL_CAPACITY, vbl_active_copy(stream, &admixture, &three.active, &state.active));
  CHECK(state.max_count[0] == 3 && state.count[0] == 2 && state.index[0] == 1);

  // Logits can be stored without the moments.
  std::vector<float> stored = {9, 9, 9, 9, 9, 9, 9, 9, 9, 9};
  CHECK_STATUS(VBL_OK, vbl_active_store(stream, &admixture, &three.active, stored.data(), nullptr, nullptr));
  CHECK((stored == std::vector<float>{1, 5, 3, 9, 9, 9, 9, 9, 9, 9}));
}

TEST(active_ops_refuse_bad_arguments) {
  check::CpuStream stream;
  const Shape shape = {2, 5, 1, 2};
  const vbl_admixture admixture = shape.admixture();
  Scratch scratch(stream, shape);
  Trajectory t = start(shape, std::vector<float>(10, 1.0f));
  State state(shape, 4, 3);
  load(stream, shape, state, t.logits, nullptr, nullptr);
  const std::vector<float> dlogits(4, 0.1f);
  vbl_step step = step_of(1, 0.1);
  const auto refused = [&](const char *message, vbl_status status) {
    CHECK_STATUS(VBL_INVALID_ARGUMENT, status);
    if (std::strstr(vbl_last_error(), message) == nullptr)
      check::failed(__FILE__, __LINE__, "message '%s' lacks '%s'", vbl_last_error(), message);
  };
  const auto pass = [&](const vbl_active *active, int64_t bytes) {
    return vbl_adamw_active_select(stream, &admixture, active, &step, 1, t.logits.data(), dlogits.data(),
                                   t.indices.data(), t.weights.data(), &t.bad_row, scratch.data(), bytes);
  };
  const auto changed = [&](auto change) {
    vbl_active active = state.active;
    change(active);
    return active;
  };
  refused("active must not be NULL", pass(nullptr, scratch.bytes()));
  refused("scratch must have", pass(&state.active, scratch.bytes() - 1));
  const struct {
    const char *message;
    vbl_active active;
  } broken[] = {{"capacity must lie in topk .. num_vectors = 2 .. 5, found 1", changed([](vbl_active &a) { a.capacity = 1; })},
                {"found 6", changed([](vbl_active &a) { a.capacity = 6; })},
                {"candidates must be at least topk = 2, found 1", changed([](vbl_active &a) { a.candidates = 1; })},
                {"->count must", changed([](vbl_active &a) { a.count = nullptr; })},
                {"->index must", changed([](vbl_active &a) { a.index = nullptr; })},
                {"->logit must", changed([](vbl_active &a) { a.logit = nullptr; })},
                {"->exp_avg must", changed([](vbl_active &a) { a.exp_avg = nullptr; })},
                {"->exp_avg_sq must", changed([](vbl_active &a) { a.exp_avg_sq = nullptr; })},
                {"->candidate_count must", changed([](vbl_active &a) { a.candidate_count = nullptr; })},
                {"->candidate_index must", changed([](vbl_active &a) { a.candidate_index = nullptr; })},
                {"->max_count must", changed([](vbl_active &a) { a.max_count = nullptr; })}};
  for (const auto &b : broken) {
    refused(b.message, pass(&b.active, scratch.bytes()));
    refused(b.message, vbl_active_load(stream, &admixture, &b.active, t.logits.data(), nullptr, nullptr, scratch.data(),
                                       scratch.bytes()));
    refused(b.message, vbl_active_store(stream, &admixture, &b.active, t.logits.data(), nullptr, nullptr));
    refused(b.message, vbl_active_copy(stream, &admixture, &b.active, &state.active));
    refused(b.message, vbl_active_copy(stream, &admixture, &state.active, &b.active));
  }
  refused("both be NULL", vbl_active_load(stream, &admixture, &state.active, t.logits.data(), t.exp_avg.data(), nullptr,
                                          scratch.data(), scratch.bytes()));
  refused("logits", vbl_active_load(stream, &admixture, &state.active, nullptr, nullptr, nullptr, scratch.data(),
                                    scratch.bytes()));
  refused("logits", vbl_active_store(stream, &admixture, &state.active, nullptr, nullptr, nullptr));
  const vbl_admixture none = {2, 5, 1, 6, nullptr};
  CHECK(vbl_active_scratch_bytes(stream, &none) == -1 && vbl_active_scratch_bytes(nullptr, &admixture) == -1);

  const std::vector<int32_t> indices = t.indices;
  t.indices[3] = 5;
  refused("found 5 in row 1", pass(&state.active, scratch.bytes()));
  t.indices = indices;
  CHECK_STATUS(VBL_OK, vbl_adamw_group_set(&step.group[1], 1, 0.1, 0.9, 0.999, 1e-8, 0.1));
  refused("weight decay must be 0", pass(&state.active, scratch.bytes()));
  step = {};
  refused("vbl_adamw_group_set", pass(&state.active, scratch.bytes()));
  CHECK((state.count == std::vector<int32_t>{0, 0}) && t.indices == indices);
}
