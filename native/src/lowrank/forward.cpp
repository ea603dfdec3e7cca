// Forward pass of a group of low-rank branches. Floor on the CPU: x is read once, each y read and written once. A task
// takes all members for a block of tokens, of which x then stays in the cache.
#include "lowrank/group.h"

extern "C" vbl_status vbl_lowrank_forward(vbl_stream *stream, const vbl_lowrank *lowrank, const vbl_step *step,
                                          const void *x, const vbl_lowrank_matrices *matrices) {
  VBL_REQUIRE_NOT_NULL(stream);
  VBL_TRY(vbl::check_group(__func__, stream, lowrank, step));
  if (lowrank->tokens == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(x, matrices);
  for (int32_t m = 0; m < lowrank->members; ++m)
    VBL_REQUIRE_NOT_NULL(matrices[m].a, matrices[m].bt, matrices[m].reduced, matrices[m].y);
  VBL_ON_CUDA(stream, vbl::cuda::lowrank_forward(stream, *lowrank, step, x, matrices));
  const vbl::LowrankGroup group = vbl::lowrank_group(*lowrank, step, matrices);
  const int64_t in = lowrank->in_features, ldx = group.member[0].branch.ldx;
  const float *xs = static_cast<const float *>(x);
  vbl::parallel_for(stream, lowrank->tokens, group.tokens_per_task(), [&](int64_t begin, int64_t end) {
    for (const vbl::LowrankMember &m : group) {
      const vbl::LowrankBranch &b = m.branch;
      float *p = m.p + begin * b.r;
      VBL_SIMD(lowrank_project)(end - begin, in, ldx, b.r, xs + begin * ldx, m.a, 1, m.dropout(), begin, p);
      VBL_SIMD(lowrank_expand)(end - begin, b.out, b.ldy, b.r, p, m.bt, b.scaling, nullptr, begin, m.y + begin * b.ldy);
    }
  });
  return VBL_OK;
}
