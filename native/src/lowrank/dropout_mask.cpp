// The mask of dropout. Floor: it is written once.
#include "lowrank/lowrank.h"
#include "lowrank/lowrank.simd.h"
#include "runtime/stream.h"

extern "C" vbl_status vbl_dropout_mask(vbl_stream *stream, const vbl_lowrank *lowrank, int32_t member,
                                       const vbl_step *step, float *mask) {
  VBL_REQUIRE_NOT_NULL(stream);
  VBL_TRY(vbl::check_group(__func__, stream, lowrank, step));
  VBL_REQUIRE(member >= 0 && member < lowrank->members, "%s: member must be one of the group's %d, found %d", __func__,
              lowrank->members, member);
  if (lowrank->tokens == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(mask);
  vbl::LowrankBranch branch = vbl::lowrank_branch(*lowrank, member);
  VBL_ON_CUDA(stream, vbl::cuda::dropout_mask(stream, branch, step, mask));
  if (branch.drops) vbl::set_key(branch.dropout, *step);
  vbl::parallel_for(stream, branch.tokens * branch.in, vbl::kLowrankTask, [&](int64_t begin, int64_t end) {
    VBL_SIMD(dropout_mask)(branch.dropout, static_cast<uint64_t>(begin), end - begin, mask + begin);
  });
  return VBL_OK;
}
