// Forward pass of the low-rank branch. Floor on the CPU: x is read once, y read and written once.
#include "lowrank/lowrank.h"
#include "lowrank/lowrank.simd.h"
#include "runtime/stream.h"

extern "C" vbl_status vbl_lowrank_forward(vbl_stream *stream, const vbl_lowrank *lowrank, const vbl_step *step,
                                          const void *x, const void *a, const void *bt, float *p, void *y) {
  VBL_REQUIRE_NOT_NULL(stream);
  VBL_TRY(vbl::check_lowrank(__func__, stream, lowrank, step));
  if (lowrank->tokens == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(x, a, bt, p, y);
  VBL_ON_CUDA(stream, vbl::cuda::lowrank_forward(stream, *lowrank, step, x, a, bt, p, y));
  const vbl_lowrank l = *lowrank;
  const int64_t in = l.in_features, out = l.out_features;
  vbl::Dropout drawn = vbl::module_dropout(l);
  if (l.dropout > 0) vbl::set_key(drawn, *step);
  const vbl::Dropout *dropout = l.dropout > 0 ? &drawn : nullptr;
  const float *from = static_cast<const float *>(x);
  float *to = static_cast<float *>(y);
  vbl::parallel_for(stream, l.tokens, vbl::rows_per_task(in + out, vbl::kLowrankTask), [&](int64_t begin, int64_t end) {
    VBL_SIMD(lowrank_project)(end - begin, in, l.r, from + begin * in, static_cast<const float *>(a), 1, dropout, begin,
                              p + begin * l.r);
    VBL_SIMD(lowrank_expand)(end - begin, out, l.r, p + begin * l.r, static_cast<const float *>(bt), l.scaling, nullptr,
                             begin, to + begin * out);
  });
  return VBL_OK;
}
