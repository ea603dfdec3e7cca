// Building the active set of logits, writing it back, and copying it.
#include <cmath>

#include "logits.h"

namespace bench {
namespace {

vbl_status load(const Logits &l, const State &state, const float *exp_avg, const float *exp_avg_sq) {
  return vbl_active_load(l.stream, &l.admixture, &state.active, l.logits.data(), exp_avg, exp_avg_sq,
                         l.active_scratch.data(), l.active_scratch.bytes());
}
vbl_status load(const Logits &l, const State &state) { return load(l, state, l.exp_avg.data(), l.exp_avg_sq.data()); }

// Of each row, how many entries have a moment.
std::vector<int32_t> moved(const Shape &shape, const Dense &dense) {
  std::vector<int32_t> counts(static_cast<size_t>(shape.rows), 0);
  for (size_t i = 0; i < dense.logit.size(); ++i)
    if (dense.exp_avg[i] != 0 || dense.exp_avg_sq[i] != 0) ++counts[i / static_cast<size_t>(shape.num_vectors)];
  return counts;
}

// From no moments, as a training begins; from some; and into lists that are too short.
Finding check_load(Logits &l) {
  Comparison comparison(0, "exact");
  NamedMemory inputs = {{"logits", &l.logits}, {"exp_avg", &l.exp_avg}, {"exp_avg_sq", &l.exp_avg_sq}};
  const auto check = [&](const Dense &expected, const Op &op) {
    l.state.poison();
    l.active_scratch.fill(kNoInteger);
    l.run("vbl_active_load", op, inputs, &comparison);
    Dense found = l.inactive();
    l.state.spread(l.shape, &found, &comparison);
    compare_exactly(found, expected, &comparison);
    comparison.equal("count", l.state.count.get(), moved(l.shape, expected));
  };
  require(l.restore_dense(), "vbl_active_store");  // anew: the op has run before
  check(l.inactive(), [&l] { return load(l, l.state, nullptr, nullptr); });
  check(l.dense(), [&l] { return load(l, l.state); });
  const int32_t need = l.state.fullest();
  if (need <= l.shape.topk) return comparison.finding();  // a list is never shorter
  State &small = l.another_state(need - 1, l.state.active.candidates);
  small.poison();
  for (const auto &memory : small.lists()) inputs.push_back(memory);
  l.run("vbl_active_load", [&] { return load(l, small); }, inputs, &comparison, l.too_short());
  comparison.equal<int32_t>("max_count", small.max_count.get(), {need});
  return comparison.finding();
}

vbl_status store(const Logits &l, float *exp_avg, float *exp_avg_sq) {
  return vbl_active_store(l.stream, &l.admixture, &l.state.active, l.logits.data(), exp_avg, exp_avg_sq);
}
vbl_status store(const Logits &l) { return store(l, l.exp_avg.data(), l.exp_avg_sq.data()); }

Finding check_store(Logits &l) {
  Comparison comparison(0, "exact");
  Dense expected = l.inactive();
  std::vector<float> without = expected.logit;
  l.state.spread(l.shape, &expected, &comparison);
  for (size_t i = 0; i < without.size(); ++i)
    if (expected.exp_avg_sq[i] != 0) without[i] = NAN;  // the state has this logit
  l.logits.set(without, 0);
  l.exp_avg.fill(kNoNumber);
  l.exp_avg_sq.fill(kNoNumber);
  NamedMemory inputs = l.state.memory();
  l.run("vbl_active_store", [&l] { return store(l); }, inputs, &comparison);
  compare_exactly(l.dense(), expected, &comparison);

  // The logits alone.
  l.logits.set(without, 0);
  inputs.emplace_back("exp_avg", &l.exp_avg);
  inputs.emplace_back("exp_avg_sq", &l.exp_avg_sq);
  l.run("vbl_active_store", [&l] { return store(l, nullptr, nullptr); }, inputs, &comparison);
  compare_exactly(l.dense(), expected, &comparison);
  return comparison.finding();
}

// Into a larger state, into one that is just large enough, and into one that is too small.
Finding check_copy(Logits &l) {
  Comparison comparison(0, "exact");
  Dense expected = l.inactive();
  l.state.spread(l.shape, &expected, &comparison);
  const int32_t need = l.state.fullest();
  for (State *to : {&l.larger(), &l.another_state(need, l.shape.topk)}) {
    to->poison();
    l.run("vbl_active_copy", [&] { return l.copy(*to); }, l.state.memory(), &comparison);
    Dense found = l.inactive();
    to->spread(l.shape, &found, &comparison);
    compare_exactly(found, expected, &comparison);
    comparison.equal("count", to->count.get(), l.state.count.get());
  }
  if (need <= l.shape.topk) return comparison.finding();  // a list is never shorter
  State &small = l.another_state(need - 1, l.state.active.candidates);
  small.poison();
  NamedMemory inputs = l.state.memory();
  for (const auto &memory : small.lists()) inputs.push_back(memory);
  l.run("vbl_active_copy", [&] { return l.copy(small); }, inputs, &comparison, l.too_short());
  comparison.equal<int32_t>("max_count", small.max_count.get(), {need});
  return comparison.finding();
}

}  // namespace

void add_active_cases(Logits &l) {
  const double rows = static_cast<double>(l.shape.rows), h = l.shape.num_vectors;
  const double lists = rows * (16.0 * l.active + 4.0 * l.candidates) + 8 * rows;
  l.add({"active_load", "float32", "-", 12 * rows * h + lists, false, [&l] { return load(l, l.state); },
         [&l] { return check_load(l); }});
  l.add({"active_store", "float32", "-", rows * (16.0 * l.active + 4 + 8 * h) + l.written_by_store, false,
         [&l] { return store(l); }, [&l] { return check_store(l); }});
  l.add({"active_copy", "float32", "-", 2 * lists, false, [&l] { return l.copy(l.larger()); },
         [&l] { return check_copy(l); }});
}

}  // namespace bench
