// AdamW with the next selection, on active entries and dense; AdamW on the bank; the gradient's norm and clipping.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "cases.h"
#include "sectors.h"

namespace bench {
namespace {

constexpr int32_t kActive = 128, kCandidates = 8;  // of a row, where it has so many entries
constexpr int64_t kJoins = 8, kScanned = 64;       // with "joining", one of so many rows
constexpr int32_t kPlain = 0, kDecayed = 1;        // groups of the step

// As many as are selected at least.
int32_t active_entries(const Shape &shape) {
  return std::max(shape.topk, std::min(kActive, shape.num_vectors - shape.num_vectors / 4));
}

vbl_step step_of(double learning_rate) {
  vbl_step step = {};
  step.step = 100;
  step.gradient_scale = 0.5f;
  step.clip_factor = 0.7f;
  require(vbl_adamw_group_set(&step.group[kPlain], step.step, learning_rate, 0.9, 0.999, 1e-8, 0), "a group");
  require(vbl_adamw_group_set(&step.group[kDecayed], step.step, learning_rate, 0.9, 0.999, 1e-8, 0.1), "a group");
  return step;
}

// Logits and moments [rows, num_vectors] on the host.
struct Dense {
  std::vector<float> logit, exp_avg, exp_avg_sq;
};

// An active-set state with its memory.
struct State {
  Array<int32_t> count, index, candidate_count, candidate_index, max_count;
  Array<float> logit, exp_avg, exp_avg_sq;
  vbl_active active;

  State(vbl_stream *stream, const Shape &shape, int32_t capacity, int32_t candidates)
      : count(stream, shape.rows, shape.shift), index(stream, shape.rows * capacity, shape.shift),
        candidate_count(stream, shape.rows, shape.shift),
        candidate_index(stream, shape.rows * candidates, shape.shift), max_count(stream, 1),
        logit(stream, index.size(), shape.shift), exp_avg(stream, index.size(), shape.shift),
        exp_avg_sq(stream, index.size(), shape.shift),
        active{capacity, candidates, count.data(), index.data(), logit.data(), exp_avg.data(), exp_avg_sq.data(),
               candidate_count.data(), candidate_index.data(), max_count.data()} {}

  NamedMemory memory() {
    return {{"count", &count}, {"index", &index}, {"logit", &logit}, {"exp_avg", &exp_avg},
            {"exp_avg_sq", &exp_avg_sq}, {"candidate_count", &candidate_count},
            {"candidate_index", &candidate_index}, {"max_count", &max_count}};
  }
  // All but max_count, which an op changes that finds the lists too short.
  NamedMemory lists() {
    NamedMemory all = memory();
    all.pop_back();
    return all;
  }

  int32_t fullest() const {
    const std::vector<int32_t> counts = count.get();
    return *std::max_element(counts.begin(), counts.end());
  }

  void poison() {
    for (Memory *numbers : {&logit, &exp_avg, &exp_avg_sq}) numbers->fill(kNoNumber);
    for (Memory *integers : {&count, &index, &candidate_count, &candidate_index, &max_count})
      integers->fill(kNoInteger);
  }

  // Puts the active entries into dense logits and moments. What a state must be is checked on the way: indices within
  // the row, none twice; candidates the best of the other entries, best first, topk of them if there are so many.
  void spread(const Shape &shape, Dense *dense, Comparison *comparison) const {
    const std::vector<int32_t> counts = count.get(), indices = index.get(), candidates = candidate_index.get();
    const std::vector<int32_t> candidate_counts = candidate_count.get();
    const std::vector<float> logits = logit.get(), exp_avgs = exp_avg.get(), exp_avg_sqs = exp_avg_sq.get();
    const int32_t h = shape.num_vectors;
    std::vector<int32_t> others;
    int32_t most = 0;
    for (int64_t row = 0; row < shape.rows; ++row) {
      if (counts[row] < 0 || counts[row] > active.capacity) {
        comparison->equal<int32_t>("count", {counts[row]}, {active_entries(shape)});
        return;
      }
      most = std::max(most, counts[row]);
      std::vector<bool> listed(static_cast<size_t>(h), false);
      for (int64_t at = row * active.capacity; at < row * active.capacity + counts[row]; ++at) {
        const int32_t i = indices[at];
        if (i < 0 || i >= h || listed[i]) {
          comparison->near("index", at, i, NAN, 0);
          return;
        }
        listed[i] = true;
        dense->logit[row * h + i] = logits[at];
        dense->exp_avg[row * h + i] = exp_avgs[at];
        dense->exp_avg_sq[row * h + i] = exp_avg_sqs[at];
      }
      others.clear();
      for (int32_t i = 0; i < h; ++i)
        if (!listed[i]) others.push_back(i);
      const int32_t least = std::min<int32_t>(shape.topk, static_cast<int32_t>(others.size()));
      const int32_t kept = candidate_counts[row];
      if (kept < least || kept > active.candidates || kept > static_cast<int32_t>(others.size())) {
        comparison->equal<int32_t>("candidate_count", {kept}, {least});
        return;
      }
      const float *x = dense->logit.data() + row * h;
      std::partial_sort(others.begin(), others.begin() + kept, others.end(),
                        [&](int32_t a, int32_t b) { return x[a] > x[b] || (x[a] == x[b] && a < b); });
      others.resize(static_cast<size_t>(kept));
      const auto first = candidates.begin() + row * active.candidates;
      comparison->equal("candidate_index", std::vector<int32_t>(first, first + kept), others);
    }
    comparison->equal("max_count", max_count.get(), {most});
  }
};

void compare_exactly(const Dense &found, const Dense &expected, Comparison *comparison) {
  for (size_t i = 0; i < expected.logit.size(); ++i) {
    const int64_t at = static_cast<int64_t>(i);
    comparison->near("logit", at, found.logit[i], expected.logit[i], 0);
    comparison->near("exp_avg", at, found.exp_avg[i], expected.exp_avg[i], 0);
    comparison->near("exp_avg_sq", at, found.exp_avg_sq[i], expected.exp_avg_sq[i], 0);
  }
}

class OptimizerCases : public Cases {
 public:
  OptimizerCases(vbl_stream *s, const Shape &sh, Random &random)
      : stream_(s), shape_(sh), logits_(s, sh.rows * sh.num_vectors, sh.shift), exp_avg_(s, logits_.size(), sh.shift),
        exp_avg_sq_(s, logits_.size(), sh.shift), selected_(s, sh.rows * sh.topk, sh.shift),
        dlogits_(s, selected_.size(), sh.shift), weights_(s, selected_.size(), sh.shift), bad_row_(s, 1),
        bank_(s, int64_t{sh.num_vectors} * sh.vector_length, sh.shift), dbank_(s, bank_.size(), sh.shift),
        bank_exp_avg_(s, bank_.size(), sh.shift), bank_exp_avg_sq_(s, bank_.size(), sh.shift), sum_(s, 1),
        step_(s, std::vector<vbl_step>{step_of(1e-2)}), clipped_step_(s, std::vector<vbl_step>{step_of(1e-2)}),
        admixture_(sh.admixture()),
        state_(s, sh, std::min(sh.num_vectors, active_entries(sh) + 64 + 2 * sh.topk),
               std::max(kCandidates, 4 * sh.topk)),
        steady_(s, sh, state_.active.capacity, state_.active.candidates), steady_selected_(s, selected_.size()),
        joining_selected_(s, selected_.size()), joining_candidate_count_(s, sh.rows),
        active_scratch_(s, vbl_active_scratch_bytes(s, &admixture_)),
        sum_scratch_(s, vbl_sum_squares_scratch_bytes(s, bank_.size())) {
    memory_ = {{"logits", &logits_}, {"exp_avg", &exp_avg_}, {"exp_avg_sq", &exp_avg_sq_}, {"indices", &selected_},
               {"dlogits", &dlogits_}, {"weights", &weights_}, {"bad_row", &bad_row_}, {"parameter", &bank_},
               {"gradient", &dbank_}, {"exp_avg", &bank_exp_avg_}, {"exp_avg_sq", &bank_exp_avg_sq_}, {"sum", &sum_},
               {"step", &step_}, {"step", &clipped_step_}, {"scratch", &active_scratch_}, {"scratch", &sum_scratch_}};
    for (const auto &memory : state_.memory()) memory_.push_back(memory);
    for (const auto &memory : steady_.memory()) memory_.push_back(memory);
    fill_normal(logits_, random, 0.1f);
    fill_normal(dlogits_, random, 1e-3f);
    fill_normal(bank_, random, 0.01f);
    fill_normal(dbank_, random, 1e-3f);
    bank_exp_avg_.clear();
    bank_exp_avg_sq_.clear();
    sum_.clear();
    const Touched touched = activate(random);
    require(load(steady_), "vbl_active_load");
    require(restore(), "vbl_active_copy");
    const double joining = let_join();

    const double rows = static_cast<double>(sh.rows), h = sh.num_vectors, k = sh.topk, bank = h * sh.vector_length;
    const double active = active_entries(sh), candidates = std::min<double>(state_.active.candidates, h - active);
    // Indices and gradients are read, indices and weights written; counts of entries and candidates read.
    const double selection = 16 * rows * k, counts = 8 * rows;
    // Index, logit and moments of the active entries are read, the latter three written.
    const double steady = 28 * rows * active + selection + counts + looked_at();
    cases_.push_back({"adamw_active_select", "float32", "-", steady, true,
                      [this] { return adamw_active_select(state_); }, [this] { return check_active_select(); },
                      [this] { return restore(); }});
    cases_.push_back({"adamw_active_select", "float32", "joining", steady + joining, true,
                      [this] { return adamw_active_select(state_); }, [this] { return check_joining(); },
                      [this] { return restore_joining(); }});
    cases_.push_back({"adamw_select", "float32", "-", 12 * rows * h + touched.by_step + selection, true,
                      [this] { return adamw_select(); }, [this] { return check_adamw_select(); },
                      [this] { return restore_dense(); }});
    cases_.push_back({"adamw", "float32", "-", 28 * bank, true, [this] { return adamw(); },
                      [this] { return check_adamw(); }});
    cases_.push_back({"sum_squares", "float32", "-", 4 * bank, true, [this] { return sum_squares(); },
                      [this] { return check_sum_squares(); }});
    cases_.push_back({"clip", "float32", "-", 20, true, [this] { return clip(); }, [this] { return check_clip(); }});
    const double lists = rows * (16 * active + 4 * candidates) + counts;
    cases_.push_back({"active_load", "float32", "-", 12 * rows * h + lists, false, [this] { return load(state_); },
                      [this] { return check_load(); }});
    cases_.push_back({"active_store", "float32", "-", rows * (16 * active + 4 + 8 * h) + touched.by_store, false,
                      [this] { return store(); }, [this] { return check_store(); }});
    cases_.push_back({"active_copy", "float32", "-", 2 * lists, false, [this] { return copy(larger()); },
                      [this] { return check_copy(); }});
  }

 private:
  // Bytes of the sectors that are written of dense arrays.
  struct Touched {
    double by_step;   // of logits and moments: where a step changes any
    double by_store;  // of logits: where any entry is active
  };

  // Makes active_entries of each row active, anywhere in it: gives them moments, and the greatest logits to some of them,
  // in exchange for their own, so that the selected ones are among them. Others have no moments.
  Touched activate(Random &random) {
    require(vbl_select(stream_, &admixture_, logits_.data(), selected_.data(), weights_.data(), bad_row_.data()),
            "vbl_select");
    const int64_t h = shape_.num_vectors, k = shape_.topk, active = active_entries(shape_);
    const vbl_step step = step_.get()[0];
    const std::vector<float> dlogits = dlogits_.get();
    std::vector<int32_t> selected = selected_.get();
    std::vector<int64_t> all(static_cast<size_t>(h)), entries(static_cast<size_t>(active));
    std::iota(all.begin(), all.end(), 0);
    std::normal_distribution<float> normal(0, 1e-3f);
    Sectors stored(shape_.shift), logit_changes = stored, exp_avg_changes = stored, exp_avg_sq_changes = stored;
    for (int64_t begin = 0; begin < shape_.rows; begin += 4096) {
      const int64_t end = std::min(begin + 4096, shape_.rows);
      std::vector<float> logit = logits_.get(begin * h, (end - begin) * h), m(logit.size(), 0.0f), v = m;
      for (int64_t row = begin; row < end; ++row) {
        const int64_t in_block = (row - begin) * h;
        int32_t *chosen = selected.data() + row * k;
        const int64_t first_chosen = random() % active;
        for (int64_t i = 0; i < active; ++i) {
          std::swap(all[i], all[i + random() % (h - i)]);
          entries[i] = all[i];
        }
        for (int64_t j = 0; j < k; ++j) {
          const int32_t to = static_cast<int32_t>(entries[(first_chosen + j * (active / k)) % active]);
          std::swap(logit[in_block + chosen[j]], logit[in_block + to]);
          std::replace(chosen + j + 1, chosen + k, to, chosen[j]);
          chosen[j] = to;
        }
        std::sort(entries.begin(), entries.end());
        for (const int64_t i : entries) {
          const int64_t at = in_block + i, j = std::find(chosen, chosen + k, i) - chosen;
          const float x = normal(random);
          m[at] = normal(random);
          v[at] = x * x + 1e-12f;
          const reference::Update update = reference::adamw(step, step.group[kPlain], j < k ? dlogits[row * k + j] : 0,
                                                            logit[at], m[at], v[at]);
          stored.add(row * h + i);
          if (static_cast<float>(update.parameter.exact) != logit[at]) logit_changes.add(row * h + i);
          if (static_cast<float>(update.exp_avg.exact) != m[at]) exp_avg_changes.add(row * h + i);
          if (static_cast<float>(update.exp_avg_sq.exact) != v[at]) exp_avg_sq_changes.add(row * h + i);
        }
      }
      logits_.set(logit, begin * h);
      exp_avg_.set(m, begin * h);
      exp_avg_sq_.set(v, begin * h);
    }
    steady_selected_.set(selected, 0);
    return {logit_changes.bytes() + exp_avg_changes.bytes() + exp_avg_sq_changes.bytes(), stored.bytes()};
  }

  // Bytes of the best candidates' indices, topk of each row, and of their logits, which lie scattered.
  double looked_at() const {
    const std::vector<int32_t> candidates = steady_.candidate_index.get(), counts = steady_.candidate_count.get();
    Sectors logits(shape_.shift);
    double indices = 0;
    for (int64_t row = 0; row < shape_.rows; ++row) {
      const int32_t n = std::min(shape_.topk, counts[row]);
      const auto first = candidates.begin() + row * steady_.active.candidates;
      std::vector<int32_t> best(first, first + n);
      std::sort(best.begin(), best.end());
      for (const int32_t i : best) logits.add(row * shape_.num_vectors + i);
      indices += 4.0 * n;
    }
    return indices + logits.bytes();
  }

  // Selects the best candidate of one row in kJoins, so that it joins the active ones; one row in kScanned has so few
  // candidates that it must be scanned for others then. Returns the bytes that this takes.
  double let_join() {
    std::vector<int32_t> selected = steady_selected_.get(), counts = steady_.candidate_count.get();
    const std::vector<int32_t> candidates = steady_.candidate_index.get();
    const double of_candidates = 4.0 * steady_.active.candidates;
    double bytes = 0;
    for (int64_t row = 0; row < shape_.rows; row += kJoins) {
      if (counts[row] == 0) continue;  // all entries are active
      selected[row * shape_.topk] = candidates[row * steady_.active.candidates];
      // The logit's sector is read; the entry, both counts and the candidates that are left are written.
      bytes += 4 * Sectors::kElements + 16 + 8 + of_candidates;
      if (row % kScanned != 0) continue;
      counts[row] = std::min(counts[row], shape_.topk);
      bytes += 4.0 * shape_.num_vectors + of_candidates;
    }
    joining_selected_.set(selected, 0);
    joining_candidate_count_.set(counts, 0);
    return bytes;
  }

  // What the ops change is made anew from the steady state.
  vbl_status restore() {
    require(vbl_memcpy(stream_, selected_.data(), steady_selected_.data(), selected_.bytes()), "vbl_memcpy");
    return vbl_active_copy(stream_, &admixture_, &steady_.active, &state_.active);
  }

  vbl_status restore_joining() {
    require(restore(), "vbl_active_copy");
    require(vbl_memcpy(stream_, selected_.data(), joining_selected_.data(), selected_.bytes()), "vbl_memcpy");
    return vbl_memcpy(stream_, state_.candidate_count.data(), joining_candidate_count_.data(),
                      joining_candidate_count_.bytes());
  }

  vbl_status restore_dense() {
    require(vbl_memcpy(stream_, selected_.data(), steady_selected_.data(), selected_.bytes()), "vbl_memcpy");
    return vbl_active_store(stream_, &admixture_, &steady_.active, logits_.data(), exp_avg_.data(), exp_avg_sq_.data());
  }

  vbl_status adamw_active_select(const State &state) {
    return vbl_adamw_active_select(stream_, &admixture_, &state.active, step_.data(), kPlain, logits_.data(),
                                   dlogits_.data(), selected_.data(), weights_.data(), bad_row_.data(),
                                   active_scratch_.data(), active_scratch_.bytes());
  }

  Finding check_active_select() {
    Comparison comparison(kFloat32, "all its roundings");
    selected_.set(some_active(), 0);
    check_step(state_, &comparison);
    check_bad_rows("vbl_adamw_active_select", [this] { return adamw_active_select(state_); }, &comparison);
    return comparison.finding();
  }

  // What is selected and not active joins the lists. Then lists that are filled to the last entry, and such that are
  // one entry too short.
  Finding check_joining() {
    Comparison comparison(kFloat32, "all its roundings");
    check_step(state_, &comparison);
    const int32_t enough = state_.fullest() + shape_.topk - 1;
    State &full = another_state(std::min(enough, shape_.num_vectors), state_.active.candidates);
    require(copy(full), "vbl_active_copy");
    select_inactive(full, 0);
    check_step(full, &comparison);
    if (enough >= shape_.num_vectors) return comparison.finding();  // a list never has more entries

    require(copy(full), "vbl_active_copy");
    select_inactive(full, 1);
    poison_selection();
    NamedMemory kept = {{"logits", &logits_},   {"dlogits", &dlogits_}, {"step", &step_},
                        {"indices", &selected_}, {"weights", &weights_}, {"bad_row", &bad_row_}};
    for (const auto &memory : full.lists()) kept.push_back(memory);
    run("vbl_adamw_active_select", [&] { return adamw_active_select(full); }, kept, &comparison, too_short());
    comparison.equal<int32_t>("max_count", full.max_count.get(), {enough + 1});
    return comparison.finding();
  }

  // A step on a state, with the selection that there is.
  void check_step(State &state, Comparison *comparison) {
    Dense before = inactive(), found = inactive();
    state.spread(shape_, &before, comparison);
    const std::vector<int32_t> selected = selected_.get();
    poison_selection();
    active_scratch_.fill(kNoInteger);
    run("vbl_adamw_active_select", [&] { return adamw_active_select(state); },
        {{"logits", &logits_}, {"dlogits", &dlogits_}, {"step", &step_}}, comparison);
    state.spread(shape_, &found, comparison);
    compare_update(before, found, selected, comparison);
  }

  // Entries that are active, whichever logits they have: a step leaves another selection, so that one that writes none
  // is noticed.
  std::vector<int32_t> some_active() const {
    const std::vector<int32_t> index = steady_.index.get(), counts = steady_.count.get();
    std::vector<int32_t> selected;
    for (int64_t row = 0; row < shape_.rows; ++row)
      for (int64_t j = 0; j < shape_.topk; ++j)
        selected.push_back(index[row * steady_.active.capacity + (7 * row + 3 + j) % counts[row]]);
    return selected;
  }

  // Selects of each row the best candidate and other inactive entries, as many as its list has room for, and for the
  // rest active ones; in the last of the fullest lists, `beyond` more than it has room for.
  void select_inactive(const State &state, int32_t beyond) {
    const std::vector<int32_t> index = state.index.get(), counts = state.count.get();
    const std::vector<int32_t> candidates = state.candidate_index.get();
    const int64_t last_of_fullest = counts.rend() - std::max_element(counts.rbegin(), counts.rend()) - 1;
    const int32_t h = shape_.num_vectors, k = shape_.topk;
    std::vector<int32_t> selected;
    for (int64_t row = 0; row < shape_.rows; ++row) {
      const auto list = index.begin() + row * state.active.capacity;
      std::vector<bool> taken(static_cast<size_t>(h), false);
      for (auto i = list; i < list + counts[row]; ++i) taken[*i] = true;
      const int32_t room = state.active.capacity - counts[row] + (row == last_of_fullest ? beyond : 0);
      const int32_t joining = std::min({room, k, h - counts[row]});
      for (int32_t j = 0, i = candidates[row * state.active.candidates]; j < joining; ++j) {
        while (taken[i]) i = (i + 1) % h;
        taken[i] = true;
        selected.push_back(i);
      }
      selected.insert(selected.end(), list, list + (k - joining));
    }
    selected_.set(selected, 0);
  }

  // What an op returns that finds lists too short; a CUDA stream does not know yet.
  vbl_status too_short() const { return vbl_stream_device(stream_) == VBL_DEVICE_CPU ? VBL_CAPACITY : VBL_OK; }

  State &another_state(int32_t capacity, int32_t candidates) {
    other_states_.push_back(std::make_unique<State>(stream_, shape_, capacity, candidates));
    for (const auto &memory : other_states_.back()->memory()) memory_.push_back(memory);
    return *other_states_.back();
  }

  vbl_status adamw_select() {
    return vbl_adamw_select(stream_, &admixture_, step_.data(), kPlain, logits_.data(), dlogits_.data(),
                            exp_avg_.data(), exp_avg_sq_.data(), selected_.data(), weights_.data(), bad_row_.data());
  }

  Finding check_adamw_select() {
    Comparison comparison(kFloat32, "all its roundings");
    const Dense before = dense();
    const std::vector<int32_t> selected = some_active();
    selected_.set(selected, 0);
    poison_selection();
    run("vbl_adamw_select", [this] { return adamw_select(); }, {{"dlogits", &dlogits_}, {"step", &step_}},
        &comparison);
    compare_update(before, dense(), selected, &comparison);
    check_bad_rows("vbl_adamw_select", [this] { return adamw_select(); }, &comparison);
    return comparison.finding();
  }

  // A step of which two rows have an infinite gradient, and then logits that are not a number.
  void check_bad_rows(const char *name, const Op &op, Comparison *comparison) {
    const int64_t k = shape_.topk, last = shape_.rows - 1, bad = last / 2;
    const std::vector<float> dlogits = dlogits_.get();
    std::vector<float> infinite = dlogits;
    for (const int64_t row : {bad, last}) infinite[row * k] = INFINITY;
    dlogits_.set(infinite, 0);
    selected_.set(some_active(), 0);  // no others, whose logits would not be restored
    weights_.fill(0);
    bad_row_.fill(kNoInteger);
    run(name, op, {{"dlogits", &dlogits_}, {"step", &step_}}, comparison);
    comparison->equal("bad_row", bad_row_.get(), {bad});
    const std::vector<float> weights = weights_.get();
    for (int64_t at = 0; at < last * k + k; ++at)
      if (std::isnan(weights[at]) != (at / k == bad || at / k == last))
        comparison->near("weights", at, weights[at], NAN, 0);
    dlogits_.set(dlogits, 0);
  }

  vbl_status adamw() {
    return vbl_adamw(stream_, bank_.size(), step_.data(), kDecayed, bank_.data(), dbank_.data(), bank_exp_avg_.data(),
                     bank_exp_avg_sq_.data());
  }

  Finding check_adamw() {
    Comparison comparison(kFloat32, "all its roundings");
    const vbl_step step = step_.get()[0];
    const std::vector<float> p = bank_.get(), m = bank_exp_avg_.get(), v = bank_exp_avg_sq_.get(), g = dbank_.get();
    run("vbl_adamw", [this] { return adamw(); }, {{"gradient", &dbank_}, {"step", &step_}}, &comparison);
    const std::vector<float> new_p = bank_.get(), new_m = bank_exp_avg_.get(), new_v = bank_exp_avg_sq_.get();
    for (size_t i = 0; i < p.size(); ++i)
      compare_update(static_cast<int64_t>(i), new_p[i], new_m[i], new_v[i],
                     reference::adamw(step, step.group[kDecayed], g[i], p[i], m[i], v[i]), &comparison);
    return comparison.finding();
  }

  vbl_status sum_squares() {
    return vbl_sum_squares(stream_, dbank_.size(), dbank_.data(), sum_.data(), sum_scratch_.data(),
                           sum_scratch_.bytes());
  }

  Finding check_sum_squares() {
    Comparison comparison(static_cast<double>(dbank_.size()) * 0x1p-53, "n float64 roundings");
    sum_.set({0.125}, 0);
    sum_scratch_.fill(kNoNumber);
    run("vbl_sum_squares", [this] { return sum_squares(); }, {{"x", &dbank_}}, &comparison);
    long double exact = 0.125L;
    for (const float x : dbank_.get()) exact += static_cast<long double>(x) * x;
    comparison.near("sum", 0, sum_.get()[0], static_cast<double>(exact), static_cast<double>(exact));
    return comparison.finding();
  }

  vbl_status clip() { return vbl_clip(stream_, sum_.data(), kMaxNorm, clipped_step_.data()); }

  Finding check_clip() {
    Comparison comparison(kFloat32, "all its roundings");
    vbl_step expected = clipped_step_.get()[0];
    sum_.set({40.0}, 0);
    expected.gradient_norm = expected.clip_factor = NAN;
    clipped_step_.set({expected}, 0);
    run("vbl_clip", [this] { return clip(); }, {{"sum", &sum_}}, &comparison);
    const vbl_step found = clipped_step_.get()[0];
    const double norm = std::sqrt(40.0) * expected.gradient_scale, factor = kMaxNorm / (norm + 1e-6);
    comparison.near("gradient_norm", 0, found.gradient_norm, norm, norm);
    comparison.near("clip_factor", 0, found.clip_factor, factor, 3 * factor);
    expected.gradient_norm = found.gradient_norm;
    expected.clip_factor = found.clip_factor;
    comparison.near("rest of step", 0, std::memcmp(&found, &expected, sizeof found), 0, 0);

    sum_.set({0.01}, 0);  // a norm below the greatest that is let through
    run("vbl_clip", [this] { return clip(); }, {{"sum", &sum_}}, &comparison);
    comparison.near("clip_factor", 0, clipped_step_.get()[0].clip_factor, 1, 0);
    return comparison.finding();
  }

  vbl_status load(const State &state) { return load(state, exp_avg_.data(), exp_avg_sq_.data()); }
  vbl_status load(const State &state, const float *exp_avg, const float *exp_avg_sq) {
    return vbl_active_load(stream_, &admixture_, &state.active, logits_.data(), exp_avg, exp_avg_sq,
                           active_scratch_.data(), active_scratch_.bytes());
  }

  // From no moments, as a training begins; from some; and into lists that are too short.
  Finding check_load() {
    Comparison comparison(0, "exact");
    NamedMemory inputs = {{"logits", &logits_}, {"exp_avg", &exp_avg_}, {"exp_avg_sq", &exp_avg_sq_}};
    const auto check = [&](const Dense &expected, const Op &op) {
      state_.poison();
      active_scratch_.fill(kNoInteger);
      run("vbl_active_load", op, inputs, &comparison);
      Dense found = inactive();
      state_.spread(shape_, &found, &comparison);
      compare_exactly(found, expected, &comparison);
      comparison.equal("count", state_.count.get(), moved(expected));
    };
    require(restore_dense(), "vbl_active_store");  // anew: the op has run before
    check(inactive(), [this] { return load(state_, nullptr, nullptr); });
    check(dense(), [this] { return load(state_); });
    const int32_t need = state_.fullest();
    if (need <= shape_.topk) return comparison.finding();  // a list is never shorter
    State &small = another_state(need - 1, state_.active.candidates);
    small.poison();
    for (const auto &memory : small.lists()) inputs.push_back(memory);
    run("vbl_active_load", [&] { return load(small); }, inputs, &comparison, too_short());
    comparison.equal<int32_t>("max_count", small.max_count.get(), {need});
    return comparison.finding();
  }

  // Of each row, how many entries have a moment.
  std::vector<int32_t> moved(const Dense &dense) const {
    std::vector<int32_t> counts(static_cast<size_t>(shape_.rows), 0);
    for (size_t i = 0; i < dense.logit.size(); ++i)
      if (dense.exp_avg[i] != 0 || dense.exp_avg_sq[i] != 0) ++counts[i / static_cast<size_t>(shape_.num_vectors)];
    return counts;
  }

  vbl_status store() { return store(exp_avg_.data(), exp_avg_sq_.data()); }
  vbl_status store(float *exp_avg, float *exp_avg_sq) {
    return vbl_active_store(stream_, &admixture_, &state_.active, logits_.data(), exp_avg, exp_avg_sq);
  }

  Finding check_store() {
    Comparison comparison(0, "exact");
    Dense expected = inactive();
    std::vector<float> without = expected.logit;
    state_.spread(shape_, &expected, &comparison);
    for (size_t i = 0; i < without.size(); ++i)
      if (expected.exp_avg_sq[i] != 0) without[i] = NAN;  // the state has this logit
    logits_.set(without, 0);
    exp_avg_.fill(kNoNumber);
    exp_avg_sq_.fill(kNoNumber);
    NamedMemory inputs = state_.memory();
    run("vbl_active_store", [this] { return store(); }, inputs, &comparison);
    compare_exactly(dense(), expected, &comparison);

    // The logits alone.
    logits_.set(without, 0);
    inputs.emplace_back("exp_avg", &exp_avg_);
    inputs.emplace_back("exp_avg_sq", &exp_avg_sq_);
    run("vbl_active_store", [this] { return store(nullptr, nullptr); }, inputs, &comparison);
    compare_exactly(dense(), expected, &comparison);
    return comparison.finding();
  }

  // Made when it is first needed.
  State &larger() {
    if (larger_ == nullptr)
      larger_ = &another_state(std::min(shape_.num_vectors, state_.active.capacity + 1), state_.active.candidates + 3);
    return *larger_;
  }

  vbl_status copy(const State &to) {
    return vbl_active_copy(stream_, &admixture_, &state_.active, &to.active);
  }

  // Into a larger state, into one that is just large enough, and into one that is too small.
  Finding check_copy() {
    Comparison comparison(0, "exact");
    Dense expected = inactive();
    state_.spread(shape_, &expected, &comparison);
    const int32_t need = state_.fullest();
    for (State *to : {&larger(), &another_state(need, shape_.topk)}) {
      to->poison();
      run("vbl_active_copy", [&] { return copy(*to); }, state_.memory(), &comparison);
      Dense found = inactive();
      to->spread(shape_, &found, &comparison);
      compare_exactly(found, expected, &comparison);
      comparison.equal("count", to->count.get(), state_.count.get());
    }
    if (need <= shape_.topk) return comparison.finding();  // a list is never shorter
    State &small = another_state(need - 1, state_.active.candidates);
    small.poison();
    NamedMemory inputs = state_.memory();
    for (const auto &memory : small.lists()) inputs.push_back(memory);
    run("vbl_active_copy", [&] { return copy(small); }, inputs, &comparison, too_short());
    comparison.equal<int32_t>("max_count", small.max_count.get(), {need});
    return comparison.finding();
  }

  Dense dense() const { return {logits_.get(), exp_avg_.get(), exp_avg_sq_.get()}; }

  // The logits, and no moments: what holds for entries that are not active.
  Dense inactive() const {
    const std::vector<float> zero(static_cast<size_t>(logits_.size()), 0.0f);
    return {logits_.get(), zero, zero};
  }

  void poison_selection() {
    weights_.fill(kNoNumber);
    bad_row_.fill(kNoInteger);
  }

  static void compare_update(int64_t at, float p, float m, float v, const reference::Update &exact,
                             Comparison *comparison) {
    comparison->near("parameter", at, p, exact.parameter.exact, exact.parameter.magnitude);
    comparison->near("exp_avg", at, m, exact.exp_avg.exact, exact.exp_avg.magnitude);
    comparison->near("exp_avg_sq", at, v, exact.exp_avg_sq.exact, exact.exp_avg_sq.magnitude);
  }

  // selected: where the gradient was not zero. The next selection is that of the logits found.
  void compare_update(const Dense &before, const Dense &found, const std::vector<int32_t> &selected,
                      Comparison *comparison) const {
    const vbl_step step = step_.get()[0];
    const std::vector<float> dlogits = dlogits_.get(), weights = weights_.get();
    const int64_t h = shape_.num_vectors, k = shape_.topk;
    std::vector<float> gradient(static_cast<size_t>(h));
    for (int64_t row = 0; row < shape_.rows; ++row) {
      std::fill(gradient.begin(), gradient.end(), 0.0f);
      for (int64_t j = row * k; j < row * k + k; ++j) gradient[selected[j]] = dlogits[j];
      for (int64_t i = 0, at = row * h; i < h; ++i, ++at)
        compare_update(at, found.logit[at], found.exp_avg[at], found.exp_avg_sq[at],
                       reference::adamw(step, step.group[kPlain], gradient[i], before.logit[at], before.exp_avg[at],
                                        before.exp_avg_sq[at]),
                       comparison);
    }
    const reference::Selection next = reference::select(shape_, found.logit);
    comparison->equal("indices", selected_.get(), next.indices);
    for (size_t i = 0; i < weights.size(); ++i)
      comparison->near("weights", static_cast<int64_t>(i), weights[i], next.weights[i], next.weights[i]);
    comparison->equal("bad_row", bad_row_.get(), {-1});
  }

  static constexpr float kMaxNorm = 1;

  vbl_stream *stream_;
  Shape shape_;
  Array<float> logits_, exp_avg_, exp_avg_sq_;
  Array<int32_t> selected_;
  Array<float> dlogits_, weights_;
  Array<int64_t> bad_row_;
  Array<float> bank_, dbank_, bank_exp_avg_, bank_exp_avg_sq_;
  Array<double> sum_;
  Array<vbl_step> step_, clipped_step_;
  vbl_admixture admixture_;
  State state_;
  State steady_;  // what state_ and the dense arrays are at first, selected ones among the active
  Array<int32_t> steady_selected_, joining_selected_, joining_candidate_count_;
  std::vector<std::unique_ptr<State>> other_states_;
  State *larger_ = nullptr;  // one of them
  Array<char> active_scratch_, sum_scratch_;
};

}  // namespace

std::unique_ptr<Cases> optimizer_cases(vbl_stream *stream, const Shape &shape, Random &random) {
  return std::make_unique<OptimizerCases>(stream, shape, random);
}

}  // namespace bench
