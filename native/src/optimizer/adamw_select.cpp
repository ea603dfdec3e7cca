#include "admixture/admixture.h"
#include "admixture/select.h"
#include "admixture/topk.simd.h"
#include "optimizer/adamw.h"
#include "optimizer/adamw.simd.h"

extern "C" vbl_status vbl_adamw_select(vbl_stream *stream, const vbl_admixture *admixture, const vbl_step *step,
                                       const vbl_adamw_group *group, float *logits, const float *dlogits,
                                       float *exp_avg, float *exp_avg_sq, int32_t *indices, float *weights,
                                       int64_t *bad_row) {
  VBL_REQUIRE_NOT_NULL(stream);
  VBL_TRY(vbl::check_admixture(__func__, admixture));
  VBL_TRY(vbl::check_group(__func__, stream, step, group));
  VBL_REQUIRE_NOT_NULL(logits, dlogits, exp_avg, exp_avg_sq, indices, weights, bad_row);
  VBL_ON_CUDA(stream, vbl::cuda::adamw_select(stream, *admixture, step, group, logits, dlogits, exp_avg, exp_avg_sq,
                                              indices, weights, bad_row));
  VBL_TRY(vbl::check_indices(__func__, stream, *admixture, indices));
  const int64_t num_vectors = admixture->num_vectors;
  const int32_t topk = admixture->topk;
  const auto adamw_sparse = VBL_SIMD(adamw_sparse);
  const auto scan = VBL_SIMD(topk_scan);
  const int64_t at_once = num_vectors < 1024 ? 1024 / num_vectors : 1;
  vbl::Lowest bad;
  vbl::parallel_for(stream, admixture->rows, vbl::rows_per_task(num_vectors), [&](int64_t begin, int64_t end) {
    for (int64_t first = begin; first < end; first += at_once) {  // selected while they are in the nearest cache
      const int64_t last = first + at_once < end ? first + at_once : end, at = first * num_vectors;
      adamw_sparse(last - first, num_vectors, step, group, logits + at, topk, indices + first * topk,
                   dlogits + first * topk, exp_avg + at, exp_avg_sq + at);
      for (int64_t row = first; row < last; ++row) {
        vbl::TopK selection = vbl::selection_of_row(row, topk, indices, weights);
        scan(&selection, num_vectors, logits + row * num_vectors, nullptr, nullptr);
        if (!vbl::finish_selection(&selection)) bad.note(row);
      }
    }
  });
  *bad_row = bad.get();
  return VBL_OK;
}
