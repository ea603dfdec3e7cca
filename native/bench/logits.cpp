#include "logits.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "sectors.h"

namespace bench {
namespace {

constexpr int32_t kActive = 128, kCandidates = 8;  // of a row, where it has so many entries

// As many as are selected at least.
int32_t active_entries(const Shape &shape) {
  return std::max(shape.topk, std::min(kActive, shape.num_vectors - shape.num_vectors / 4));
}

}  // namespace

Logits::Logits(vbl_stream *on, const Shape &of, Random &random)
    : stream(on), shape(of), admixture(of.admixture()), logits(on, of.rows * of.num_vectors, of.shift),
      exp_avg(on, logits.size(), of.shift), exp_avg_sq(on, logits.size(), of.shift),
      selected(on, of.rows * of.topk, of.shift), dlogits(on, selected.size(), of.shift),
      weights(on, selected.size(), of.shift), bad_row(on, 1), step(on, std::vector<AdamwStep>{step_constants()}),
      state(on, of, std::min(of.num_vectors, active_entries(of) + 64 + 2 * of.topk),
            std::max(kCandidates, 4 * of.topk)),
      steady(on, of, state.active.capacity, state.active.candidates), steady_selected(on, selected.size()),
      active_scratch(on, vbl_active_scratch_bytes(on, &admixture)), active(active_entries(of)),
      candidates(std::min(state.active.candidates, of.num_vectors - active)) {
  memory_ = {{"logits", &logits},    {"exp_avg", &exp_avg}, {"exp_avg_sq", &exp_avg_sq},
             {"indices", &selected}, {"dlogits", &dlogits}, {"weights", &weights},
             {"bad_row", &bad_row},  {"step", &step},       {"scratch", &active_scratch}};
  for (const auto &memory : state.memory()) memory_.push_back(memory);
  for (const auto &memory : steady.memory()) memory_.push_back(memory);
  fill_normal(logits, random, 0.1f);
  fill_normal(dlogits, random, 1e-3f);
  activate(random);
  require(vbl_active_load(stream, &admixture, &steady.active, logits.data(), exp_avg.data(), exp_avg_sq.data(),
                          active_scratch.data(), active_scratch.bytes()),
          "vbl_active_load");
  require(restore(), "vbl_active_copy");
}

// Makes so many entries of each row active, anywhere in it: gives them moments, and the greatest logits to some of
// them, in exchange for their own, so that the selected ones are among them. Others have no moments.
void Logits::activate(Random &random) {
  require(vbl_select(stream, &admixture, logits.data(), selected.data(), weights.data(), bad_row.data()), "vbl_select");
  const int64_t h = shape.num_vectors, k = shape.topk;
  const AdamwStep constants = step.get()[0];
  const std::vector<float> gradient = dlogits.get();
  std::vector<int32_t> choice = selected.get();
  std::vector<int64_t> all(static_cast<size_t>(h)), entries(static_cast<size_t>(active));
  std::iota(all.begin(), all.end(), 0);
  std::normal_distribution<float> normal(0, 1e-3f);
  Sectors stored(shape.shift), logit_changes = stored, exp_avg_changes = stored, exp_avg_sq_changes = stored;
  for (int64_t begin = 0; begin < shape.rows; begin += 4096) {
    const int64_t end = std::min(begin + 4096, shape.rows);
    std::vector<float> logit = logits.get(begin * h, (end - begin) * h), m(logit.size(), 0.0f), v = m;
    for (int64_t row = begin; row < end; ++row) {
      const int64_t in_block = (row - begin) * h;
      int32_t *chosen = choice.data() + row * k;
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
        const reference::Update update = reference::adamw(constants, constants.group[kPlain],
                                                          j < k ? gradient[row * k + j] : 0, logit[at], m[at], v[at]);
        stored.add(row * h + i);
        if (static_cast<float>(update.parameter.exact) != logit[at]) logit_changes.add(row * h + i);
        if (static_cast<float>(update.exp_avg.exact) != m[at]) exp_avg_changes.add(row * h + i);
        if (static_cast<float>(update.exp_avg_sq.exact) != v[at]) exp_avg_sq_changes.add(row * h + i);
      }
    }
    logits.set(logit, begin * h);
    exp_avg.set(m, begin * h);
    exp_avg_sq.set(v, begin * h);
  }
  steady_selected.set(choice, 0);
  written_by_step = logit_changes.bytes() + exp_avg_changes.bytes() + exp_avg_sq_changes.bytes();
  written_by_store = stored.bytes();
}

vbl_status Logits::restore() {
  require(vbl_memcpy(stream, selected.data(), steady_selected.data(), selected.bytes()), "vbl_memcpy");
  return vbl_active_copy(stream, &admixture, &steady.active, &state.active);
}

vbl_status Logits::restore_dense() {
  require(vbl_memcpy(stream, selected.data(), steady_selected.data(), selected.bytes()), "vbl_memcpy");
  return vbl_active_store(stream, &admixture, &steady.active, logits.data(), exp_avg.data(), exp_avg_sq.data());
}

Dense Logits::inactive() const {
  const std::vector<float> zero(static_cast<size_t>(logits.size()), 0.0f);
  return {logits.get(), zero, zero};
}

std::vector<int32_t> Logits::some_active() const {
  const std::vector<int32_t> index = steady.index.get(), counts = steady.count.get();
  std::vector<int32_t> chosen;
  for (int64_t row = 0; row < shape.rows; ++row)
    for (int64_t j = 0; j < shape.topk; ++j)
      chosen.push_back(index[row * steady.active.capacity + (7 * row + 3 + j) % counts[row]]);
  return chosen;
}

State &Logits::another_state(int32_t capacity, int32_t candidates) {
  other_states_.push_back(std::make_unique<State>(stream, shape, capacity, candidates));
  for (const auto &memory : other_states_.back()->memory()) memory_.push_back(memory);
  return *other_states_.back();
}

State &Logits::larger() {
  if (larger_ == nullptr)
    larger_ = &another_state(std::min(shape.num_vectors, state.active.capacity + 1), state.active.candidates + 3);
  return *larger_;
}

std::unique_ptr<Cases> logits_cases(vbl_stream *stream, const Shape &shape, Random &random) {
  auto logits = std::make_unique<Logits>(stream, shape, random);
  add_adamw_select_cases(*logits);
  add_active_cases(*logits);
  return logits;
}

}  // namespace bench
