#include "admixture/select.h"

#include <cmath>

#include "admixture/admixture.h"
#include "admixture/topk.simd.h"

namespace vbl {

bool finish_selection(TopK *selection) {
  topk_sort(selection);
  float *weights = selection->logit;
  const double largest = weights[0];
  if (!std::isfinite(largest)) {
    for (int32_t j = 0; j < selection->size; ++j) weights[j] = NAN;
    return false;
  }
  constexpr int32_t kKept = 16;  // exponentials not computed twice
  double kept[kKept], sum = 1;
  const auto exponential = [&](int32_t j) { return std::exp(weights[j] - largest); };
  for (int32_t j = 1; j < selection->size; ++j) {
    const double e = exponential(j);
    if (j < kKept) kept[j] = e;
    sum += e;
  }
  for (int32_t j = 1; j < selection->size; ++j)
    weights[j] = static_cast<float>((j < kKept ? kept[j] : exponential(j)) / sum);
  weights[0] = static_cast<float>(1 / sum);
  return true;
}

}  // namespace vbl

extern "C" vbl_status vbl_select(vbl_stream *stream, const vbl_admixture *admixture, const float *logits,
                                 int32_t *indices, float *weights, int64_t *bad_row) {
  VBL_REQUIRE_NOT_NULL(stream);
  VBL_TRY(vbl::check_admixture(__func__, admixture));
  VBL_REQUIRE_NOT_NULL(logits, indices, weights, bad_row);
  VBL_ON_CUDA(stream, vbl::cuda::select(stream, *admixture, logits, indices, weights, bad_row));
  const int64_t num_vectors = admixture->num_vectors;
  const auto scan = VBL_SIMD(topk_scan);
  vbl::Lowest bad;
  vbl::parallel_for(stream, admixture->rows, vbl::rows_per_task(num_vectors), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      vbl::TopK selection = vbl::selection_of_row(row, admixture->topk, indices, weights);
      scan(&selection, num_vectors, logits + row * num_vectors, nullptr, nullptr);
      if (!vbl::finish_selection(&selection)) bad.note(row);
    }
  });
  *bad_row = bad.get();
  return VBL_OK;
}
