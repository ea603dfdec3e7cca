// AdamW on logits with the next selection: on active entries, and dense.
#include <algorithm>
#include <cmath>
#include <memory>

#include "logits.h"
#include "sectors.h"

namespace bench {
namespace {

constexpr int64_t kJoins = 8, kScanned = 64;  // with "joining", one of so many rows

// Bytes of the best candidates' indices, topk of each row, and of their logits, which lie scattered.
double looked_at(const Logits &l) {
  const std::vector<int32_t> candidates = l.steady.candidate_index.get(), counts = l.steady.candidate_count.get();
  Sectors logits(l.shape.shift);
  double indices = 0;
  for (int64_t row = 0; row < l.shape.rows; ++row) {
    const int32_t n = std::min(l.shape.topk, counts[row]);
    const auto first = candidates.begin() + row * l.steady.active.candidates;
    std::vector<int32_t> best(first, first + n);
    std::sort(best.begin(), best.end());
    for (const int32_t i : best) logits.add(row * l.shape.num_vectors + i);
    indices += 4.0 * n;
  }
  return indices + logits.bytes();
}

// A selection with the best candidate of one row in kJoins, so that it joins the active ones; one row in kScanned has
// so few candidates that it must be scanned for others then.
struct Joining {
  Array<int32_t> selected, candidate_count;
  double bytes;  // that this takes

  explicit Joining(Logits &l);
};

Joining::Joining(Logits &l) : selected(l.stream, l.selected.size()), candidate_count(l.stream, l.shape.rows), bytes(0) {
  std::vector<int32_t> choice = l.steady_selected.get(), counts = l.steady.candidate_count.get();
  const std::vector<int32_t> candidates = l.steady.candidate_index.get();
  const double of_candidates = 4.0 * l.steady.active.candidates;
  for (int64_t row = 0; row < l.shape.rows; row += kJoins) {
    if (counts[row] == 0) continue;  // all entries are active
    choice[row * l.shape.topk] = candidates[row * l.steady.active.candidates];
    // The logit's sector is read; the entry, both counts and the candidates that are left are written.
    bytes += 4 * Sectors::kElements + 16 + 8 + of_candidates;
    if (row % kScanned != 0) continue;
    counts[row] = std::min(counts[row], l.shape.topk);
    bytes += 4.0 * l.shape.num_vectors + of_candidates;
  }
  selected.set(choice, 0);
  candidate_count.set(counts, 0);
}

vbl_status restore_joining(Logits &l, const Joining &joining) {
  require(l.restore(), "vbl_active_copy");
  require(vbl_memcpy(l.stream, l.selected.data(), joining.selected.data(), l.selected.bytes()), "vbl_memcpy");
  return vbl_memcpy(l.stream, l.state.candidate_count.data(), joining.candidate_count.data(),
                    joining.candidate_count.bytes());
}

void poison_selection(Logits &l) {
  l.weights.fill(kNoNumber);
  l.bad_row.fill(kNoInteger);
}

// selected: where the gradient was not zero. The next selection is that of the logits found.
void compare_step(const Logits &l, const Dense &before, const Dense &found, const std::vector<int32_t> &selected,
                  Comparison *comparison) {
  const AdamwStep step = l.step.get()[0];
  const std::vector<float> dlogits = l.dlogits.get(), weights = l.weights.get();
  const int64_t h = l.shape.num_vectors, k = l.shape.topk;
  std::vector<float> gradient(static_cast<size_t>(h));
  for (int64_t row = 0; row < l.shape.rows; ++row) {
    std::fill(gradient.begin(), gradient.end(), 0.0f);
    for (int64_t j = row * k; j < row * k + k; ++j) gradient[selected[j]] = dlogits[j];
    for (int64_t i = 0, at = row * h; i < h; ++i, ++at)
      compare_update(at, found.logit[at], found.exp_avg[at], found.exp_avg_sq[at],
                     reference::adamw(step, step.group[kPlain], gradient[i], before.logit[at], before.exp_avg[at],
                                      before.exp_avg_sq[at]),
                     comparison);
  }
  const reference::Selection next = reference::select(l.shape, found.logit);
  comparison->equal("indices", l.selected.get(), next.indices);
  for (size_t i = 0; i < weights.size(); ++i)
    comparison->near("weights", static_cast<int64_t>(i), weights[i], next.weights[i], next.weights[i]);
  comparison->equal("bad_row", l.bad_row.get(), {-1});
}

// A step of which two rows have an infinite gradient, and then logits that are not a number.
void check_bad_rows(Logits &l, const char *name, const Op &op, Comparison *comparison) {
  const int64_t k = l.shape.topk, last = l.shape.rows - 1, bad = last / 2;
  const std::vector<float> dlogits = l.dlogits.get();
  std::vector<float> infinite = dlogits;
  for (const int64_t row : {bad, last}) infinite[row * k] = INFINITY;
  l.dlogits.set(infinite, 0);
  l.selected.set(l.some_active(), 0);  // no others, whose logits would not be restored
  l.weights.fill(0);
  l.bad_row.fill(kNoInteger);
  l.run(name, op, {{"dlogits", &l.dlogits}, {"step", &l.step}}, comparison);
  comparison->equal("bad_row", l.bad_row.get(), {bad});
  const std::vector<float> weights = l.weights.get();
  for (int64_t at = 0; at < last * k + k; ++at)
    if (std::isnan(weights[at]) != (at / k == bad || at / k == last))
      comparison->near("weights", at, weights[at], NAN, 0);
  l.dlogits.set(dlogits, 0);
}

vbl_status adamw_active_select(const Logits &l, const State &state) {
  return vbl_adamw_active_select(l.stream, &l.admixture, &state.active, l.step.data(), l.step.data()->group + kPlain,
                                 l.logits.data(), l.dlogits.data(), l.selected.data(), l.weights.data(),
                                 l.bad_row.data(), l.active_scratch.data(), l.active_scratch.bytes());
}

// A step on a state, with the selection that there is.
void check_step(Logits &l, State &state, Comparison *comparison) {
  Dense before = l.inactive(), found = l.inactive();
  state.spread(l.shape, &before, comparison);
  const std::vector<int32_t> selected = l.selected.get();
  poison_selection(l);
  l.active_scratch.fill(kNoInteger);
  l.run(
      "vbl_adamw_active_select", [&] { return adamw_active_select(l, state); },
      {{"logits", &l.logits}, {"dlogits", &l.dlogits}, {"step", &l.step}}, comparison);
  state.spread(l.shape, &found, comparison);
  compare_step(l, before, found, selected, comparison);
}

Finding check_active_select(Logits &l) {
  Comparison comparison(kFloat32, "all its roundings");
  l.selected.set(l.some_active(), 0);
  check_step(l, l.state, &comparison);
  check_bad_rows(l, "vbl_adamw_active_select", [&l] { return adamw_active_select(l, l.state); }, &comparison);
  return comparison.finding();
}

// Selects of each row the best candidate and other inactive entries, as many as its list has room for, and for the
// rest active ones; in the last of the fullest lists, `beyond` more than it has room for.
void select_inactive(Logits &l, const State &state, int32_t beyond) {
  const std::vector<int32_t> index = state.index.get(), counts = state.count.get();
  const std::vector<int32_t> candidates = state.candidate_index.get();
  const int64_t last_of_fullest = counts.rend() - std::max_element(counts.rbegin(), counts.rend()) - 1;
  const int32_t h = l.shape.num_vectors, k = l.shape.topk;
  std::vector<int32_t> selected;
  for (int64_t row = 0; row < l.shape.rows; ++row) {
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
  l.selected.set(selected, 0);
}

// What is selected and not active joins the lists. Then lists that are filled to the last entry, and such that are
// one entry too short.
Finding check_joining(Logits &l) {
  Comparison comparison(kFloat32, "all its roundings");
  check_step(l, l.state, &comparison);
  const int32_t enough = l.state.fullest() + l.shape.topk - 1;
  State &full = l.another_state(std::min(enough, l.shape.num_vectors), l.state.active.candidates);
  require(l.copy(full), "vbl_active_copy");
  select_inactive(l, full, 0);
  check_step(l, full, &comparison);
  if (enough >= l.shape.num_vectors) return comparison.finding();  // a list never has more entries

  require(l.copy(full), "vbl_active_copy");
  select_inactive(l, full, 1);
  poison_selection(l);
  NamedMemory kept = {{"logits", &l.logits},    {"dlogits", &l.dlogits}, {"step", &l.step},
                      {"indices", &l.selected}, {"weights", &l.weights}, {"bad_row", &l.bad_row}};
  for (const auto &memory : full.lists()) kept.push_back(memory);
  l.run("vbl_adamw_active_select", [&] { return adamw_active_select(l, full); }, kept, &comparison, l.too_short());
  comparison.equal<int32_t>("max_count", full.max_count.get(), {enough + 1});
  return comparison.finding();
}

vbl_status adamw_select(const Logits &l) {
  return vbl_adamw_select(l.stream, &l.admixture, l.step.data(), l.step.data()->group + kPlain, l.logits.data(),
                          l.dlogits.data(), l.exp_avg.data(), l.exp_avg_sq.data(), l.selected.data(), l.weights.data(),
                          l.bad_row.data());
}

Finding check_adamw_select(Logits &l) {
  Comparison comparison(kFloat32, "all its roundings");
  const Dense before = l.dense();
  const std::vector<int32_t> selected = l.some_active();
  l.selected.set(selected, 0);
  poison_selection(l);
  l.run(
      "vbl_adamw_select", [&l] { return adamw_select(l); }, {{"dlogits", &l.dlogits}, {"step", &l.step}}, &comparison);
  compare_step(l, before, l.dense(), selected, &comparison);
  check_bad_rows(l, "vbl_adamw_select", [&l] { return adamw_select(l); }, &comparison);
  return comparison.finding();
}

}  // namespace

void add_adamw_select_cases(Logits &l) {
  const double rows = static_cast<double>(l.shape.rows), h = l.shape.num_vectors, k = l.shape.topk;
  // Indices and gradients are read, indices and weights written; counts of entries and candidates read.
  const double selection = 16 * rows * k, counts = 8 * rows;
  // Index, logit and moments of the active entries are read, the latter three written.
  const double steady = 28 * rows * l.active + selection + counts + looked_at(l);
  const auto joining = std::make_shared<Joining>(l);
  l.add({"adamw_active_select", "float32", "-", steady, true, [&l] { return adamw_active_select(l, l.state); },
         [&l] { return check_active_select(l); }, [&l] { return l.restore(); }});
  l.add({"adamw_active_select", "float32", "joining", steady + joining->bytes, true,
         [&l] { return adamw_active_select(l, l.state); }, [&l] { return check_joining(l); },
         [&l, joining] { return restore_joining(l, *joining); }});
  l.add({"adamw_select", "float32", "-", 12 * rows * h + l.written_by_step + selection, true,
         [&l] { return adamw_select(l); }, [&l] { return check_adamw_select(l); }, [&l] { return l.restore_dense(); }});
}

}  // namespace bench
