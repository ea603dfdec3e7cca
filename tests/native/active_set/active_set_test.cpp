// The active-set state: vbl_adamw_active_select must give, on every device, the bits of vbl_adamw_select on the CPU.
#include "bench/active_set.h"

#include "admixture/reference.h"
#include "bench/adamw_step.h"
#include "device.h"

using reference::AdamwStep;
using reference::Shape;

namespace {

// What a state's lists hold, unused places left out.
struct Lists {
  std::vector<int32_t> count, index, candidate_count, candidate_index;
  std::vector<float> logit, exp_avg, exp_avg_sq;

  bool operator==(const Lists &other) const {
    return count == other.count && index == other.index && candidate_count == other.candidate_count &&
           candidate_index == other.candidate_index && check::same_bits(logit, other.logit) &&
           check::same_bits(exp_avg, other.exp_avg) && check::same_bits(exp_avg_sq, other.exp_avg_sq);
  }
};

// A state in memory that begins `shift` elements behind a 16-byte boundary.
struct State : reference::ActiveSet<check::Array> {
  State(vbl_stream *stream, const Shape &shape, int32_t capacity, int32_t candidates, int64_t shift = 0)
      : ActiveSet([&](int64_t n, auto value) { return check::Array<decltype(value)>(stream, n, value, shift); },
                  shape.rows, capacity, candidates) {}

  Lists lists() const {
    Lists l = {count.get(), {}, candidate_count.get(), {}, {}, {}, {}};
    const auto fill = [](auto &to, const auto &from, const std::vector<int32_t> &used, int32_t width) {
      const auto values = from.get();
      for (size_t row = 0; row < used.size(); ++row)
        for (int32_t i = 0; i < used[row]; ++i) to.push_back(values[row * width + i]);
    };
    fill(l.index, index, l.count, active.capacity);
    fill(l.logit, logit, l.count, active.capacity);
    fill(l.exp_avg, exp_avg, l.count, active.capacity);
    fill(l.exp_avg_sq, exp_avg_sq, l.count, active.capacity);
    fill(l.candidate_index, candidate_index, l.candidate_count, active.candidates);
    return l;
  }
};

// What an op says of a state that is full: the status on the CPU, max_count alone on CUDA.
bool overflowed(vbl_stream *stream, const State &state, vbl_status status) {
  const bool full = state.max_count.get()[0] > state.active.capacity;
  CHECK_STATUS(full && vbl_stream_device(stream) == VBL_DEVICE_CPU ? VBL_CAPACITY : VBL_OK, status);
  return full;
}

State copy_of(vbl_stream *stream, const Shape &shape, const State &state, int32_t capacity, int32_t candidates,
              int64_t shift = 0) {
  State larger(stream, shape, capacity, candidates, shift);
  const vbl_admixture admixture = shape.admixture();
  CHECK(!overflowed(stream, larger, vbl_active_copy(stream, &admixture, &state.active, &larger.active)));
  return larger;
}

class Scratch {
 public:
  Scratch(vbl_stream *stream, const Shape &shape) : memory_(stream, bytes_for(stream, shape), -1) {}
  void *data() const { return memory_.data(); }
  int64_t bytes() const { return memory_.size(); }

 private:
  static int64_t bytes_for(vbl_stream *stream, const Shape &shape) {
    const vbl_admixture admixture = shape.admixture();
    return vbl_active_scratch_bytes(stream, &admixture);
  }

  check::Array<char> memory_;
};

// Dense logits with their moments and selection: one trajectory of the optimizer.
struct Trajectory {
  check::Array<float> logits, exp_avg, exp_avg_sq, weights;
  check::Array<int32_t> indices;
  check::Array<int64_t> bad_row;

  // Nothing has moved, and the logits have been selected from.
  Trajectory(vbl_stream *stream, const Shape &shape, const std::vector<float> &values, int64_t shift = 0)
      : logits(stream, values, shift), exp_avg(stream, logits.size(), 0.0f, shift),
        exp_avg_sq(stream, logits.size(), 0.0f, shift), weights(stream, shape.rows * shape.topk, NAN),
        indices(stream, shape.rows * shape.topk, -1), bad_row(stream, 1, -2) {
    const vbl_admixture admixture = shape.admixture();
    CHECK_STATUS(VBL_OK, vbl_select(stream, &admixture, logits.data(), indices.data(), weights.data(), bad_row.data()));
  }

  bool same_selection(const Trajectory &other, int32_t topk) const {
    const std::vector<float> w = weights.get(), of_other = other.weights.get();
    bool same = indices.get() == other.indices.get() && bad_row.get() == other.bad_row.get();
    if (topk <= 32) return same && check::same_bits(w, of_other);
    for (size_t i = 0; i < w.size(); ++i)  // sums of float64 in another order
      same = same && std::fabs(w[i] - of_other[i]) <= 0x1p-23f * of_other[i];
    return same;
  }
};

vbl_status load(vbl_stream *stream, const Shape &shape, const State &state, const Trajectory &from,
                bool moments = true) {
  const vbl_admixture admixture = shape.admixture();
  const Scratch scratch(stream, shape);
  return vbl_active_load(stream, &admixture, &state.active, from.logits.data(), moments ? from.exp_avg.data() : nullptr,
                         moments ? from.exp_avg_sq.data() : nullptr, scratch.data(), scratch.bytes());
}

void dense_step(vbl_stream *stream, const Shape &shape, const AdamwStep &step, const std::vector<float> &dlogits,
                const Trajectory &t) {
  const vbl_admixture admixture = shape.admixture();
  CHECK_STATUS(VBL_OK, vbl_adamw_select(stream, &admixture, &step, step.group + 1, t.logits.data(), dlogits.data(),
                                        t.exp_avg.data(), t.exp_avg_sq.data(), t.indices.data(), t.weights.data(),
                                        t.bad_row.data()));
}

vbl_status active_step(vbl_stream *stream, const Shape &shape, const State &state, const AdamwStep &step,
                       const std::vector<float> &dlogits, const Trajectory &t) {
  const vbl_admixture admixture = shape.admixture();
  const Scratch scratch(stream, shape);
  const check::Array<AdamwStep> constants(stream, std::vector<AdamwStep>{step});
  const check::Array<float> gradient(stream, dlogits);
  const vbl_status status = vbl_adamw_active_select(
      stream, &admixture, &state.active, constants.data(), constants.data()->group + 1, t.logits.data(),
      gradient.data(), t.indices.data(), t.weights.data(), t.bad_row.data(), scratch.data(), scratch.bytes());
  CHECK_STATUS(VBL_OK, vbl_stream_synchronize(stream));
  return status;
}

AdamwStep step_of(int64_t t, double learning_rate) {
  AdamwStep step = {};
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
  std::vector<float> dlogits = check::normals(random, shape.rows * shape.topk, 0.01f);
  for (float &x : dlogits) x = random.between(0, 9) == 0 ? 0 : x + 0.006f;
  return dlogits;
}

// Under ThreadSanitizer the SIMT host starts few threads per second, and a race shows in the first steps.
#if defined(__SANITIZE_THREAD__)
constexpr int kMostCudaSteps = 3;
#else
constexpr int kMostCudaSteps = 2000;
#endif

// How often lists overflowed and states were reloaded, and how many entries were active in the end.
struct Statistics {
  int64_t grown = 0, reloaded = 0, active = 0;
};

// After a load: the best inactive entries of each row, by their logits and then their indices, as many as there is room
// for.
void check_candidates(const Shape &shape, const State &state, const std::vector<float> &logits) {
  const Lists lists = state.lists();
  const std::vector<int32_t> listed = state.index.get();
  std::vector<int32_t> count, index;
  for (int64_t row = 0; row < shape.rows; ++row) {
    const float *x = logits.data() + row * shape.num_vectors;
    const auto begin = listed.begin() + row * state.active.capacity, end = begin + lists.count[row];
    std::vector<int32_t> inactive;
    for (int32_t i = 0; i < shape.num_vectors; ++i)
      if (std::find(begin, end, i) == end) inactive.push_back(i);
    std::stable_sort(inactive.begin(), inactive.end(), [x](int32_t i, int32_t j) { return x[i] > x[j]; });
    if (static_cast<int32_t>(inactive.size()) > state.active.candidates) inactive.resize(state.active.candidates);
    count.push_back(static_cast<int32_t>(inactive.size()));
    index.insert(index.end(), inactive.begin(), inactive.end());
  }
  CHECK(lists.candidate_count == count && lists.candidate_index == index);
}

// After a step: a row keeps the candidates that were not selected, or, if these are fewer than topk, is scanned for new
// ones.
void check_candidates_left(const Shape &shape, const State &state, const Lists &before,
                           const std::vector<int32_t> &selected) {
  const Lists after = state.lists();
  std::vector<int32_t> expected;
  auto candidate = before.candidate_index.begin();
  for (int64_t row = 0; row < shape.rows; ++row) {
    const auto begin = selected.begin() + row * shape.topk, end = begin + shape.topk;
    int32_t left = 0;
    for (int32_t i = 0; i < before.candidate_count[row]; ++i)
      if (std::find(begin, end, *candidate++) == end) ++left;
    const int32_t inactive = shape.num_vectors - after.count[row];
    if (left < shape.topk && left < inactive) left = std::min(state.active.candidates, inactive);
    expected.push_back(left);
  }
  CHECK(after.candidate_count == expected);
}

// Of all rows the most entries that have moved: their moments are not zero.
int32_t most_moved(const Shape &shape, const Trajectory &t) {
  const std::vector<float> m = t.exp_avg.get(), v = t.exp_avg_sq.get();
  int32_t most = 0;
  for (size_t row = 0; row < m.size(); row += shape.num_vectors) {
    int32_t moved = 0;
    for (size_t i = row; i < row + shape.num_vectors; ++i) moved += m[i] != 0 || v[i] != 0;
    most = std::max(most, moved);
  }
  return most;
}

// Runs both forms side by side, the dense one on the CPU. The state starts as small as it may be and grows when it
// must.
// least: what a run of all its steps must come to, to have been worth it.
void compare_with_dense(vbl_stream *stream, const Shape &shape, int32_t candidates, int all_steps,
                        const Statistics &least, float quantum = 0) {
  const int steps = vbl_stream_device(stream) == VBL_DEVICE_CPU ? all_steps : std::min(all_steps, kMostCudaSteps);
  Statistics statistics;
  check::Random random(check::seed());
  check::CpuStream cpu;
  const vbl_admixture admixture = shape.admixture();
  std::vector<float> logits = check::normals(random, shape.rows * shape.num_vectors, 0.1f);
  if (quantum > 0)  // ties
    for (float &x : logits) x = std::round(x / quantum) * quantum;
  const Trajectory dense(cpu, shape, logits), sparse(stream, shape, logits, candidates % 3);
  State state(stream, shape, shape.topk, candidates);
  CHECK(!overflowed(stream, state, load(stream, shape, state, sparse, false)));
  CHECK(state.max_count.get()[0] == 0);
  check_candidates(shape, state, logits);

  for (int t = 1; t <= steps; ++t) {
    const AdamwStep step = step_of(t, learning_rate_at(t));
    const std::vector<float> dlogits = gradients_at(random, shape);
    const Lists before = state.lists();
    const std::vector<int32_t> indices = sparse.indices.get();
    const std::vector<float> weights = sparse.weights.get();
    const std::vector<int64_t> bad_row = sparse.bad_row.get();
    if (overflowed(stream, state, active_step(stream, shape, state, step, dlogits, sparse))) {
      ++statistics.grown;
      const int32_t need = state.max_count.get()[0];
      CHECK(need <= state.active.capacity + shape.topk && need <= shape.num_vectors);
      // Nothing but max_count has changed.
      CHECK(state.lists() == before && sparse.indices.get() == indices && sparse.bad_row.get() == bad_row);
      CHECK(check::same_bits(sparse.weights.get(), weights));
      const int32_t room = std::min(need + (t % 2 == 0 ? 0 : 3), shape.num_vectors);
      state = copy_of(stream, shape, state, room, candidates, t % 4);
      CHECK(!overflowed(stream, state, active_step(stream, shape, state, step, dlogits, sparse)));
    }
    check_candidates_left(shape, state, before, indices);
    dense_step(cpu, shape, step, dlogits, dense);
    CHECK(sparse.same_selection(dense, shape.topk));
    const std::vector<int32_t> count = state.count.get();
    CHECK(state.max_count.get()[0] == *std::max_element(count.begin(), count.end()));

    if (t % 97 == 0 || t == steps) {
      CHECK_STATUS(VBL_OK, vbl_active_store(stream, &admixture, &state.active, sparse.logits.data(),
                                            sparse.exp_avg.data(), sparse.exp_avg_sq.data()));
      CHECK(check::same_bits(sparse.logits.get(), dense.logits.get()));
      CHECK(check::same_bits(sparse.exp_avg.get(), dense.exp_avg.get()));
      CHECK(check::same_bits(sparse.exp_avg_sq.get(), dense.exp_avg_sq.get()));
      State reloaded(stream, shape, state.max_count.get()[0], candidates + t % 2, t % 3);
      CHECK(!overflowed(stream, reloaded, load(stream, shape, reloaded, sparse)));
      CHECK(reloaded.max_count.get()[0] == most_moved(shape, sparse));
      check_candidates(shape, reloaded, sparse.logits.get());
      state = copy_of(stream, shape, reloaded, state.active.capacity, candidates, t % 4);
      ++statistics.reloaded;
    }
  }
  for (const int32_t count : state.count.get()) statistics.active += count;
  if (steps < all_steps) return;
  CHECK(statistics.grown >= least.grown && statistics.reloaded >= least.reloaded && statistics.active >= least.active);
}

}  // namespace

TEST(equals_dense_adamw_bit_for_bit_over_2000_steps) {
  check::for_each_device(
      [](vbl_stream *stream) { compare_with_dense(stream, {6, 60, 1, 2}, 2, 2000, {5, 20, 6 * 31}); });
}

TEST(equals_dense_adamw_in_other_shapes) {
  check::for_each_device([](vbl_stream *stream) {
    compare_with_dense(stream, {3, 1500, 1, 3}, 7, 200, {1, 1, 3 * 21});
    compare_with_dense(stream, {100, 40, 1, 2}, 5, 40, {1, 1, 100 * 9});  // several pieces, workers and blocks
    compare_with_dense(stream, {5, 90, 1, 8}, 20, 150, {2, 1, 5 * 21});
    compare_with_dense(stream, {4, 5, 1, 5}, 5, 50, {0, 1, 4 * 5});  // topk = num_vectors
    compare_with_dense(stream, {7, 1, 1, 1}, 3, 20, {0, 1, 7});      // and more candidates than vectors
    compare_with_dense(stream, {5, 70, 1, 1}, 1, 300, {1, 2, 5 * 21});
    compare_with_dense(stream, {3, 300, 1, 4}, 70, 120, {2, 2, 3 * 21});  // candidates in several scans
    compare_with_dense(stream, {3, 200, 1, 32}, 40, 40, {2, 1, 3 * 33});
    compare_with_dense(stream, {3, 200, 1, 33}, 40, 30, {2, 1, 3 * 34});
    compare_with_dense(stream, {2, 40, 1, 40}, 40, 10, {0, 1, 2 * 40});
    compare_with_dense(stream, {2, 1200, 1, 520}, 530, 5, {1, 1, 2 * 520});  // more than a block has threads
    compare_with_dense(stream, {258, 3, 1, 1}, 1, 5, {1, 1, 258});           // the same of rows
    compare_with_dense(stream, {2, 65536, 1, 2}, 2, 5, {1, 1, 2 * 3});       // scanned for candidates at every load
    compare_with_dense(stream, {1, 65536, 1, 40}, 40, 3, {1, 1, 41});        // and once more when they were selected
  });
}

TEST(equals_dense_adamw_among_ties) {
  check::for_each_device([](vbl_stream *stream) {
    compare_with_dense(stream, {6, 50, 1, 3}, 4, 300, {1, 2, 6 * 21}, 0.125f);
    compare_with_dense(stream, {3, 120, 1, 40}, 40, 30, {1, 1, 3 * 61}, 0.125f);
  });
}

// An entry that is activated after others of the same logit still goes by its index, wherever it stands in the list.
TEST(equal_active_logits_go_by_index) {
  check::for_each_device([](vbl_stream *stream) {
    for (const int32_t active : {1, 2, 4, 8, 16, 17, 63, 64, 65, 80}) {
      const Shape shape = {1, 100, 1, 1};
      Trajectory t(stream, shape, std::vector<float>(100, 1.0f));
      std::vector<float> moments(100, 0.0f);
      std::fill(moments.end() - active, moments.end(), 0.5f);
      t.exp_avg.set(moments);
      const State state(stream, shape, 100, 1);
      CHECK(!overflowed(stream, state, load(stream, shape, state, t)));
      CHECK(t.indices.get()[0] == 0 && state.count.get()[0] == active);
      CHECK(!overflowed(stream, state, active_step(stream, shape, state, step_of(1, 0), {0.1f}, t)));  // nothing moves
      CHECK(state.count.get()[0] == active + 1 && state.index.get()[active] == 0);
      CHECK(t.indices.get()[0] == 0);
    }
  });
}

// The state after some steps, and the selection.
static std::pair<Lists, std::vector<int32_t>> run(vbl_stream *stream, const Shape &shape, int steps) {
  check::Random random(check::seed());
  const Trajectory t(stream, shape, check::normals(random, shape.rows * shape.num_vectors, 0.1f));
  const State state(stream, shape, shape.num_vectors, shape.topk + 1);
  CHECK(!overflowed(stream, state, load(stream, shape, state, t, false)));
  for (int step = 1; step <= steps; ++step)
    CHECK(!overflowed(stream, state,
                      active_step(stream, shape, state, step_of(step, 0.05), gradients_at(random, shape), t)));
  return {state.lists(), t.indices.get()};
}

TEST(state_does_not_depend_on_threads) {
  const Shape shape = {300, 64, 1, 2};
  const auto expected = run(check::CpuStream(1), shape, 30);
  for (const int threads : {2, 5}) CHECK(run(check::CpuStream(threads), shape, 30) == expected);
}

TEST(state_on_cuda_is_the_cpus) {
  check::on_cuda([](vbl_stream *stream) {
    for (const Shape &shape : {Shape{20, 64, 1, 2}, Shape{2, 64, 1, 34}})
      CHECK(run(stream, shape, 6) == run(check::CpuStream(1), shape, 6));
  });
}

// Captured steps read the constants when they run; one that would overflow changes nothing but max_count.
TEST(active_steps_replay_with_other_constants) {
  check::on_cuda([](vbl_stream *stream) {
    for (const Shape &shape : {Shape{20, 64, 1, 2}, Shape{3, 64, 1, 34}}) {
      check::Random random(check::seed());
      const vbl_admixture admixture = shape.admixture();
      const std::vector<float> logits = check::normals(random, shape.rows * shape.num_vectors, 0.1f);
      const Trajectory eager(stream, shape, logits), replayed(stream, shape, logits);
      const State of_eager(stream, shape, shape.num_vectors, shape.topk);
      const State of_replayed(stream, shape, shape.topk + 9, shape.topk);
      load(stream, shape, of_eager, eager, false);
      load(stream, shape, of_replayed, replayed, false);
      const Scratch scratch(stream, shape);
      check::Array<AdamwStep> constants(stream, std::vector<AdamwStep>{step_of(1, 1)});
      check::Array<float> gradient(stream, shape.rows * shape.topk, 0.0f);
      vbl_graph *graph = nullptr;
      CHECK_STATUS(VBL_OK, vbl_graph_begin(stream));
      CHECK_STATUS(VBL_OK, vbl_adamw_active_select(stream, &admixture, &of_replayed.active, constants.data(),
                                                   constants.data()->group + 1, replayed.logits.data(), gradient.data(),
                                                   replayed.indices.data(), replayed.weights.data(),
                                                   replayed.bad_row.data(), scratch.data(), scratch.bytes()));
      CHECK_STATUS(VBL_OK, vbl_graph_end(stream, &graph));
      int replays = 0, full = 0;
      for (int t = 1; t <= 40 && full < 2; ++t) {
        const AdamwStep step = step_of(t, learning_rate_at(t) + 0.02);
        const std::vector<float> dlogits = gradients_at(random, shape);
        constants.set({step});
        gradient.set(dlogits);
        const Lists before = of_replayed.lists();
        const std::vector<int32_t> selected = replayed.indices.get();
        CHECK_STATUS(VBL_OK, vbl_graph_launch(stream, graph));
        if (overflowed(stream, of_replayed, VBL_OK)) {
          CHECK(of_replayed.lists() == before && replayed.indices.get() == selected);
          ++full;
          continue;
        }
        ++replays;
        CHECK(!overflowed(stream, of_eager, active_step(stream, shape, of_eager, step, dlogits, eager)));
        CHECK(of_replayed.lists() == of_eager.lists());
        CHECK(replayed.same_selection(eager, 1) && replayed.indices.get() == eager.indices.get());
      }
      CHECK(replays >= 3 && full == 2);
      CHECK_STATUS(VBL_OK, vbl_graph_destroy(graph));
    }
  });
}

// Indices that are out of range become active nowhere.
TEST(active_steps_pass_over_wild_indices_on_cuda) {
  check::on_cuda([](vbl_stream *stream) {
    for (const int32_t topk : {2, 33}) {
      const Shape shape = {2, 40, 1, topk};
      std::vector<float> logits(80, 0.0f);
      logits[7] = 1;
      Trajectory t(stream, shape, logits);
      const State state(stream, shape, topk, topk);
      load(stream, shape, state, t, false);
      std::vector<int32_t> wild(static_cast<size_t>(2 * topk), -5);
      for (size_t j = 0; j < wild.size(); j += 2) wild[j] = 40 + static_cast<int32_t>(j);
      t.indices.set(wild);
      CHECK(!overflowed(stream, state,
                        active_step(stream, shape, state, step_of(1, 0.1), std::vector<float>(wild.size(), 1.0f), t)));
      CHECK((state.count.get() == std::vector<int32_t>{0, 0}) && state.max_count.get()[0] == 0);
      CHECK(t.indices.get()[0] == 7 && t.indices.get()[topk] == 0);
    }
  });
}

// A NaN that a gradient brings in, and one that sits in a logit which was never selected.
TEST(reports_the_bad_rows_that_the_dense_form_reports) {
  check::for_each_device([](vbl_stream *stream) {
    for (const int32_t topk : {2, 34}) {
      const Shape shape = {topk == 2 ? 100 : 7, 40, 1, topk};
      const int64_t bad = shape.rows / 2;
      for (const int32_t where : {0, 1}) {
        check::Random random(check::seed());
        check::CpuStream cpu;
        std::vector<float> logits = check::normals(random, shape.rows * shape.num_vectors, 0.1f);
        if (where == 1) logits[bad * 40 + 17] = NAN, logits[(bad + 2) * 40 + 3] = INFINITY;
        const Trajectory dense(cpu, shape, logits), sparse(stream, shape, logits);
        const State state(stream, shape, shape.num_vectors, topk);
        CHECK(!overflowed(stream, state, load(stream, shape, state, sparse, false)));
        for (int t = 1; t <= 4; ++t) {
          const AdamwStep step = step_of(t, 0.05);
          std::vector<float> dlogits = gradients_at(random, shape);
          if (where == 0 && t == 3) dlogits[topk * bad + 1] = NAN, dlogits[topk * (bad + 3)] = NAN;
          dense_step(cpu, shape, step, dlogits, dense);
          CHECK(!overflowed(stream, state, active_step(stream, shape, state, step, dlogits, sparse)));
          CHECK(dense.bad_row.get()[0] == (where == 0 && t < 3 ? -1 : bad));
          CHECK(sparse.bad_row.get() == dense.bad_row.get() && sparse.indices.get() == dense.indices.get());
        }
      }
    }
  });
}

TEST(load_lists_entries_with_moments_and_keeps_the_best_of_the_rest) {
  check::for_each_device([](vbl_stream *stream) {
    const Shape shape = {2, 5, 1, 2};
    const vbl_admixture admixture = shape.admixture();
    Trajectory t(stream, shape, {1, 5, 3, 4, 2, 0, 0, 7, 0, -0.0f});
    t.exp_avg.set({0, 0.1f, 0, 0, 0, 0, 0, 0, 0, 0});
    t.exp_avg_sq.set({0, 0, 0, 0, 0.5f, 0, 0, 0, 0, 0});
    State state(stream, shape, 2, 2);
    CHECK(!overflowed(stream, state, load(stream, shape, state, t)) && state.max_count.get()[0] == 2);
    const Lists expected = {{2, 0}, {1, 4}, {2, 2}, {3, 2, 2, 0}, {5, 2}, {0.1f, 0}, {0, 0.5f}};
    CHECK(state.lists() == expected);

    // Three active entries do not fit: nothing but max_count changes.
    Trajectory more(stream, shape, t.logits.get());
    more.exp_avg.set({1, 1, 1, 0, 0, 0, 0, 0, 0, 0});
    CHECK(overflowed(stream, state, load(stream, shape, state, more)));
    CHECK(state.max_count.get()[0] == 3 && state.lists() == expected);

    // Nor do they fit into a copy that is too small.
    const State three(stream, shape, 3, 2);
    CHECK(!overflowed(stream, three, load(stream, shape, three, more)));
    state.max_count.set({0});
    CHECK(overflowed(stream, state, vbl_active_copy(stream, &admixture, &three.active, &state.active)));
    CHECK(state.max_count.get()[0] == 3 && state.lists() == expected);

    // Logits can be stored without the moments.
    const check::Array<float> stored(stream, 10, 9.0f);
    CHECK_STATUS(VBL_OK, vbl_active_store(stream, &admixture, &three.active, stored.data(), nullptr, nullptr));
    CHECK((stored.get() == std::vector<float>{1, 5, 3, 9, 9, 9, 9, 9, 9, 9}));
  });
}

TEST(active_ops_refuse_bad_arguments) {
  check::CpuStream stream;
  const Shape shape = {2, 5, 1, 2};
  const vbl_admixture admixture = shape.admixture();
  const Scratch scratch(stream, shape);
  Trajectory t(stream, shape, std::vector<float>(10, 1.0f));
  const State state(stream, shape, 4, 3);
  CHECK_STATUS(VBL_OK, load(stream, shape, state, t, false));
  const std::vector<float> dlogits(4, 0.1f);
  AdamwStep step = step_of(1, 0.1);
  const auto refused = [&](const char *message, vbl_status status) {
    CHECK_STATUS(VBL_INVALID_ARGUMENT, status);
    if (std::strstr(vbl_last_error(), message) == nullptr)
      check::failed(__FILE__, __LINE__, "message '%s' lacks '%s'", vbl_last_error(), message);
  };
  const auto pass = [&](const vbl_active *active, int64_t bytes) {
    return vbl_adamw_active_select(stream, &admixture, active, &step, step.group + 1, t.logits.data(), dlogits.data(),
                                   t.indices.data(), t.weights.data(), t.bad_row.data(), scratch.data(), bytes);
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
  } broken[] = {
      {"capacity must lie in topk .. num_vectors = 2 .. 5, found 1", changed([](vbl_active &a) { a.capacity = 1; })},
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

  const std::vector<int32_t> indices = t.indices.get();
  t.indices.set({indices[0], indices[1], indices[2], 5});
  refused("found 5 in row 1", pass(&state.active, scratch.bytes()));
  t.indices.set(indices);
  CHECK_STATUS(VBL_OK, vbl_adamw_group_set(&step.group[1], 1, 0.1, 0.9, 0.999, 1e-8, 0.1));
  refused("weight decay must be 0", pass(&state.active, scratch.bytes()));
  step = {};
  refused("vbl_adamw_group_set", pass(&state.active, scratch.bytes()));
  CHECK((state.count.get() == std::vector<int32_t>{0, 0}) && t.indices.get() == indices);
}
