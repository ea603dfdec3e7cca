#include "active_set/active_set.h"
#include "active_set/find_index.simd.h"
#include "admixture/select.h"
#include "admixture/topk.simd.h"
#include "optimizer/adamw.h"
#include "optimizer/adamw.simd.h"

namespace vbl {
namespace {

// Makes sure that the row's selected entries are active, and turns their indices into positions in the row's list.
void activate(const vbl_active &active, int64_t row, int32_t topk, const float *row_logits, int32_t *selected) {
  const int64_t list = row * active.capacity;
  int32_t *candidate = active.candidate_index + row * active.candidates;
  const auto find = VBL_SIMD(find_index);
  for (int32_t j = 0; j < topk; ++j) {
    const int32_t index = selected[j];
    const int64_t at = find(active.count[row], active.index + list, index);
    if (at >= 0) {
      selected[j] = static_cast<int32_t>(at);
      continue;
    }
    const int32_t end = active.count[row]++;
    active.index[list + end] = index;
    active.logit[list + end] = row_logits[index];
    active.exp_avg[list + end] = 0;
    active.exp_avg_sq[list + end] = 0;
    selected[j] = end;
    const int64_t left = find(active.candidate_count[row], candidate, index);
    if (left < 0) continue;
    --active.candidate_count[row];
    for (int64_t i = left; i < active.candidate_count[row]; ++i) candidate[i] = candidate[i + 1];
  }
}

// Active entries of the row after activation of its selected ones, if that may exceed the capacity; else a lower bound.
int32_t needed(const vbl_active &active, int64_t row, int32_t topk, const int32_t *selected) {
  int32_t count = active.count[row];
  if (count <= active.capacity - topk) return count;
  for (int32_t j = 0; j < topk; ++j)
    count += VBL_SIMD(find_index)(active.count[row], active.index + row * active.capacity, selected[j]) < 0;
  return count;
}

}  // namespace
}  // namespace vbl

extern "C" vbl_status vbl_adamw_active_select(vbl_stream *stream, const vbl_admixture *admixture,
                                              const vbl_active *active, const vbl_step *step,
                                              const vbl_adamw_group *group, const float *logits, const float *dlogits,
                                              int32_t *indices, float *weights, int64_t *bad_row, void *scratch,
                                              int64_t scratch_bytes) {
  VBL_REQUIRE_NOT_NULL(stream);
  VBL_TRY(vbl::check_admixture(__func__, admixture));
  VBL_TRY(vbl::check_active(__func__, "active", *admixture, active));
  VBL_TRY(vbl::check_group(__func__, stream, step, group));
  VBL_REQUIRE(stream->device != VBL_DEVICE_CPU || group->decay == 1,
              "%s: weight decay must be 0, found decay %.9g: use vbl_adamw_select", __func__,
              static_cast<double>(group->decay));
  VBL_REQUIRE_NOT_NULL(logits, dlogits, indices, weights, bad_row);
  VBL_TRY(vbl::check_scratch(__func__, scratch, scratch_bytes, vbl_active_scratch_bytes(stream, admixture)));
  vbl::Scratch memory(scratch);
  VBL_ON_CUDA(stream, vbl::cuda::adamw_active_select(stream, *admixture, *active, step, group, logits, dlogits, indices,
                                                     weights, bad_row, vbl::cuda::lay_out_active(memory, *admixture)));
  VBL_TRY(vbl::check_indices(__func__, stream, *admixture, indices));
  const vbl::CandidateScratch candidates = vbl::lay_out_candidates(memory, vbl_stream_threads(stream), *admixture);
  const int64_t num_vectors = admixture->num_vectors;
  const int32_t topk = admixture->topk;

  vbl::HighestCount need;
  vbl::parallel_for(stream, admixture->rows, 1 << 12, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) need.note(vbl::needed(*active, row, topk, indices + row * topk));
  });
  VBL_TRY(vbl::check_capacity(__func__, *active, need.get()));

  const auto adamw_sparse = VBL_SIMD(adamw_sparse);
  const auto scan = VBL_SIMD(topk_scan);
  vbl::HighestCount count;
  vbl::Lowest bad;
  vbl::parallel_for(stream, admixture->rows, 64, [&](int64_t begin, int64_t end, int32_t worker) {
    for (int64_t row = begin; row < end; ++row) {
      if (row + 1 < end && active->candidate_count[row + 1] > 0)  // what would else be waited for: one logit far away
        __builtin_prefetch(logits + (row + 1) * num_vectors + active->candidate_index[(row + 1) * active->candidates]);
      const int64_t list = row * active->capacity;
      const float *row_logits = logits + row * num_vectors;
      int32_t *selected = indices + row * topk;
      vbl::activate(*active, row, topk, row_logits, selected);
      const int32_t entries = active->count[row];
      count.note(entries);
      adamw_sparse(1, entries, step, group, active->logit + list, topk, selected, dlogits + row * topk,
                   active->exp_avg + list, active->exp_avg_sq + list);
      if (active->candidate_count[row] < topk && entries + active->candidate_count[row] < num_vectors)
        vbl::find_candidates(candidates, worker, *active, row, row_logits);

      vbl::TopK selection = vbl::selection_of_row(row, topk, indices, weights);
      scan(&selection, entries, active->logit + list, active->index + list, nullptr);
      const int32_t *candidate = active->candidate_index + row * active->candidates;
      for (int32_t i = 0; i < active->candidate_count[row]; ++i)  // best first: after one that stays out, all do
        if (!vbl::topk_push(&selection, row_logits[candidate[i]], candidate[i])) break;
      if (!vbl::finish_selection(&selection)) bad.note(row);
    }
  });
  *active->max_count = count.get();
  *bad_row = bad.get();
  return VBL_OK;
}
