// The mask of dropout. Floor: it is written once.
#include "lowrank/lowrank.h"
#include "lowrank/lowrank.simd.h"
#include "runtime/stream.h"

extern "C" vbl_status vbl_dropout_mask(vbl_stream *stream, const vbl_lowrank *lowrank, const vbl_step *step,
                                       float *mask) {
  VBL_REQUIRE_NOT_NULL(stream);
  VBL_TRY(vbl::check_lowrank(__func__, stream, lowrank, step));
  if (lowrank->tokens == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(mask);
  VBL_ON_CUDA(stream, vbl::cuda::dropout_mask(stream, *lowrank, step, mask));
  vbl::Dropout dropout = vbl::module_dropout(*lowrank);
  if (lowrank->dropout > 0) vbl::set_key(dropout, *step);
  const int64_t n = lowrank->tokens * lowrank->in_features;
  vbl::parallel_for(stream, n, vbl::kLowrankTask, [&](int64_t begin, int64_t end) {
    VBL_SIMD(dropout_mask)(dropout, static_cast<uint64_t>(begin), end - begin, mask + begin);
  });
  return VBL_OK;
}
