// An active-set state on a device, and what it stands for.
#pragma once
#include <vector>

#include "active_set.h"
#include "cases.h"

namespace bench {

// Logits and moments [rows, num_vectors] on the host.
struct Dense {
  std::vector<float> logit, exp_avg, exp_avg_sq;
};

void compare_exactly(const Dense &found, const Dense &expected, Comparison *comparison);

struct State : reference::ActiveSet<Array> {
  State(vbl_stream *stream, const Shape &shape, int32_t capacity, int32_t candidates);

  NamedMemory memory();
  // All but max_count, which an op changes that finds the lists too short.
  NamedMemory lists();
  // Entries of the fullest list.
  int32_t fullest() const;
  // Fills all with what no op writes.
  void poison();
  // Puts the active entries into dense logits and moments. What a state must be is checked on the way: indices within
  // the row, none twice; candidates the best of the other entries, best first, topk of them if there are so many.
  void spread(const Shape &shape, Dense *dense, Comparison *comparison) const;
};

}  // namespace bench
