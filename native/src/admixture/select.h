// Selection of one row: its topk largest logits, and the softmax over them.
#pragma once
#include <cstdint>

#include "admixture/topk.h"
#include "vblora/admixture.h"

namespace vbl {

// An empty heap on a row's part of indices and weights [rows, topk]; weights hold the logits for the time being.
inline TopK selection_of_row(int64_t row, int32_t topk, int32_t *indices, float *weights) {
  return {topk, 0, indices + row * topk, weights + row * topk};
}

// Sorts the row's selection and turns its logits into weights, in float64 rounded once. False, and all weights NaN, if
// the largest logit is NaN or infinite.
bool finish_selection(TopK *selection);

namespace cuda {
// vbl_select on a CUDA stream.
vbl_status select(vbl_stream *stream, const vbl_admixture &admixture, const float *logits, int32_t *indices,
                  float *weights, int64_t *bad_row);
}  // namespace cuda

}  // namespace vbl
