// The active-set state of the logits: what its ops share.
//
// A row's active entries stand in its list in order of activation. The inactive ones keep the logit they had when the
// state was loaded, so the best of them are found once and stay the best: candidates leave the front of their list as
// they become active, and only when fewer than topk are left is the row scanned again.
#pragma once
#include <atomic>
#include <cstdint>

#include "admixture/admixture.h"
#include "admixture/topk.h"
#include "runtime/scratch.h"
#include "vblora/active_set.h"

namespace vbl {

// Checks a state's sizes and pointers; name is the argument's.
vbl_status check_active(const char *op, const char *name, const vbl_admixture &admixture, const vbl_active *active);

// What a worker needs to scan a row for candidates.
struct CandidateScratch {
  uint64_t *excluded;  // [threads, words] a bit per entry of the row
  float *logit;        // [threads, num_vectors]
  int64_t words, num_vectors;
};

CandidateScratch lay_out_candidates(Scratch &scratch, int32_t threads, const vbl_admixture &admixture);

// Finds the row's best inactive entries.
void find_candidates(const CandidateScratch &scratch, int32_t worker, const vbl_active &active, int64_t row,
                     const float *row_logits);

// The highest of the counts noted, from any number of threads.
class HighestCount {
 public:
  void note(int32_t count) {
    int32_t seen = highest_.load(std::memory_order_relaxed);
    while (count > seen && !highest_.compare_exchange_weak(seen, count, std::memory_order_relaxed)) {
    }
  }
  int32_t get() const { return highest_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int32_t> highest_{0};
};

// Records the need in max_count, and fails if it exceeds the capacity.
vbl_status check_capacity(const char *op, const vbl_active &active, int32_t need);

namespace cuda {

// Scratch of the ops on a CUDA stream.
struct ActiveScratch {
  int32_t *words;      // [2] the need of the fullest row; blocks that have added theirs to it
  int32_t *place;      // [place_rows, num_vectors] a block's map of a row's indices to places, where topk > kWarpTopK
  int32_t place_rows;  // rows in work at a time, where topk > kWarpTopK
};

inline ActiveScratch lay_out_active(Scratch &scratch, const vbl_admixture &admixture) {
  ActiveScratch s = {scratch.take<int32_t>(2), nullptr, 0};
  if (admixture.topk <= kWarpTopK) return s;
  const int64_t fit = (1 << 24) / admixture.num_vectors;  // 64 MiB
  s.place_rows = static_cast<int32_t>(fit < 1 ? 1 : fit < admixture.rows ? fit : admixture.rows);
  s.place = scratch.take<int32_t>(s.place_rows, admixture.num_vectors);
  return s;
}

// The ops on a CUDA stream.
vbl_status active_load(vbl_stream *stream, const vbl_admixture &admixture, const vbl_active &active,
                       const float *logits, const float *exp_avg, const float *exp_avg_sq,
                       const ActiveScratch &scratch);
vbl_status active_store(vbl_stream *stream, const vbl_admixture &admixture, const vbl_active &active, float *logits,
                        float *exp_avg, float *exp_avg_sq);
vbl_status active_copy(vbl_stream *stream, const vbl_admixture &admixture, const vbl_active &from,
                       const vbl_active &to);
vbl_status adamw_active_select(vbl_stream *stream, const vbl_admixture &admixture, const vbl_active &active,
                               const vbl_step *step, const vbl_adamw_group *group, const float *logits,
                               const float *dlogits, int32_t *indices, float *weights, int64_t *bad_row,
                               const ActiveScratch &scratch);

}  // namespace cuda
}  // namespace vbl
