// Logits in the middle of a training: what the ops that update them, and keep their active entries, work on.
#pragma once
#include "active_state.h"
#include "cases.h"
#include "step.h"

namespace bench {

// Dense logits with their moments, and the same as an active-set state.
struct Logits : Cases {
  Logits(vbl_stream *on, const Shape &of, Random &random);

  void add(Case added) { cases_.push_back(std::move(added)); }
  using Cases::run;

  // What the ops change is made anew: as an active set and as dense arrays.
  vbl_status restore();
  vbl_status restore_dense();

  Dense dense() const { return {logits.get(), exp_avg.get(), exp_avg_sq.get()}; }
  // The logits, and no moments: what holds for entries that are not active.
  Dense inactive() const;
  // Entries that are active, whichever logits they have: a step leaves another selection, so that one that writes none
  // is noticed.
  std::vector<int32_t> some_active() const;

  // A state of another size, which lives as long as this one.
  State &another_state(int32_t capacity, int32_t candidates);
  State &larger();  // one, made when it is first needed
  vbl_status copy(const State &to) { return vbl_active_copy(stream, &admixture, &state.active, &to.active); }
  // What an op returns that finds lists too short; a CUDA stream does not know yet.
  vbl_status too_short() const { return vbl_stream_device(stream) == VBL_DEVICE_CPU ? VBL_CAPACITY : VBL_OK; }

  vbl_stream *stream;
  Shape shape;
  vbl_admixture admixture;
  Array<float> logits, exp_avg, exp_avg_sq;
  Array<int32_t> selected;
  Array<float> dlogits, weights;
  Array<int64_t> bad_row;
  Array<AdamwStep> step;
  State state;
  State steady;  // what state and the dense arrays are at first, selected ones among the active
  Array<int32_t> steady_selected;
  Array<char> active_scratch;
  int32_t active;      // entries of a row that are
  int32_t candidates;  // of a row
  // Bytes of the sectors that are written of dense arrays: of logits and moments, where a step changes any; of logits,
  // where any entry is active.
  double written_by_step, written_by_store;

 private:
  void activate(Random &random);

  std::vector<std::unique_ptr<State>> other_states_;
  State *larger_ = nullptr;  // one of them
};

// The cases of a family of ops on them.
void add_adamw_select_cases(Logits &logits);
void add_active_cases(Logits &logits);

}  // namespace bench
