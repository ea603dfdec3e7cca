// Softmax cross-entropy and its gradient. Floor: logits are read once and dlogits written once; a row stays in cache.
#include <cmath>

#include "runtime/scratch.h"
#include "transformer/cross_entropy.simd.h"
#include "transformer/shape.h"
#include "vblora/transformer.h"

namespace {

// The loss of every row.
double *lay_out(vbl::Scratch &scratch, int64_t rows) { return scratch.take<double>(rows); }

}  // namespace

extern "C" int64_t vbl_cross_entropy_scratch_bytes(const vbl_stream *, int64_t rows) {
  if (rows < 0) {
    vbl::fail(VBL_INVALID_ARGUMENT, "%s: rows must not be negative, found %lld", __func__,
              static_cast<long long>(rows));
    return -1;
  }
  vbl::Scratch scratch;
  lay_out(scratch, rows);
  return scratch.bytes();
}

extern "C" vbl_status vbl_cross_entropy(vbl_stream *stream, int32_t dtype, int64_t rows, int64_t vocab,
                                        const void *logits, const int32_t *labels, const float *scale, double *loss_sum,
                                        void *dlogits, void *scratch, int64_t scratch_bytes) {
  VBL_REQUIRE_CPU_DTYPE(stream, dtype);
  VBL_REQUIRE_SIZE(rows, 0);
  VBL_REQUIRE_SIZE(vocab, 1);
  if (rows == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(logits, labels, loss_sum);
  VBL_REQUIRE(dlogits == nullptr || scale != nullptr, "vbl_cross_entropy: scale must not be NULL when dlogits is not");
  VBL_TRY(vbl::check_scratch(__func__, scratch, scratch_bytes, vbl_cross_entropy_scratch_bytes(stream, rows)));
  VBL_TRY(vbl::check_range(__func__, "labels", rows, labels, vocab, VBL_IGNORE_INDEX));
  vbl::Scratch memory(scratch);
  double *loss = lay_out(memory, rows);
  vbl::parallel_for(stream, rows, vbl::rows_per_task(vocab), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float *z = vbl::floats(logits) + i * vocab;
      float *d = dlogits != nullptr ? vbl::floats(dlogits) + i * vocab : nullptr;
      const int32_t label = labels[i];
      loss[i] = 0;
      if (label == VBL_IGNORE_INDEX) {
        for (int64_t j = 0; d != nullptr && j < vocab; ++j) d[j] = 0;
        continue;
      }
      const double at_label = static_cast<double>(z[label]);  // before d, which may be z, is written
      float greatest;
      double sum;
      VBL_SIMD(softmax_sum)(vocab, z, d, &greatest, &sum);
      loss[i] = std::log(sum) + (static_cast<double>(greatest) - at_label);
      if (d == nullptr) continue;
      const float factor = static_cast<float>(static_cast<double>(*scale) / sum);
      for (int64_t j = 0; j < vocab; ++j) d[j] *= factor;
      d[label] -= *scale;
    }
  });
  double total = 0;
  for (int64_t i = 0; i < rows; ++i) total += loss[i];
  *loss_sum += total;
  return VBL_OK;
}
