#include "active_state.h"

#include <algorithm>
#include <cmath>

namespace bench {

State::State(vbl_stream *stream, const Shape &shape, int32_t capacity, int32_t candidates)
    : ActiveSet([&](int64_t n, auto value) { return Array<decltype(value)>(stream, n, shape.shift); }, shape.rows,
                capacity, candidates) {}

NamedMemory State::memory() {
  return {{"count", &count},
          {"index", &index},
          {"logit", &logit},
          {"exp_avg", &exp_avg},
          {"exp_avg_sq", &exp_avg_sq},
          {"candidate_count", &candidate_count},
          {"candidate_index", &candidate_index},
          {"max_count", &max_count}};
}

NamedMemory State::lists() {
  NamedMemory all = memory();
  all.pop_back();
  return all;
}

int32_t State::fullest() const {
  const std::vector<int32_t> counts = count.get();
  return *std::max_element(counts.begin(), counts.end());
}

void State::poison() {
  for (Memory *numbers : {&logit, &exp_avg, &exp_avg_sq}) numbers->fill(kNoNumber);
  for (Memory *integers : {&count, &index, &candidate_count, &candidate_index, &max_count}) integers->fill(kNoInteger);
}

void State::spread(const Shape &shape, Dense *dense, Comparison *comparison) const {
  const std::vector<int32_t> counts = count.get(), indices = index.get(), candidates = candidate_index.get();
  const std::vector<int32_t> candidate_counts = candidate_count.get();
  const std::vector<float> logits = logit.get(), exp_avgs = exp_avg.get(), exp_avg_sqs = exp_avg_sq.get();
  const int32_t h = shape.num_vectors;
  std::vector<int32_t> others;
  int32_t most = 0;
  for (int64_t row = 0; row < shape.rows; ++row) {
    if (counts[row] < 0 || counts[row] > active.capacity) {
      comparison->equal<int32_t>("count", {counts[row]}, {active.capacity});
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

void compare_exactly(const Dense &found, const Dense &expected, Comparison *comparison) {
  for (size_t i = 0; i < expected.logit.size(); ++i) {
    const int64_t at = static_cast<int64_t>(i);
    comparison->near("logit", at, found.logit[i], expected.logit[i], 0);
    comparison->near("exp_avg", at, found.exp_avg[i], expected.exp_avg[i], 0);
    comparison->near("exp_avg_sq", at, found.exp_avg_sq[i], expected.exp_avg_sq[i], 0);
  }
}

}  // namespace bench
