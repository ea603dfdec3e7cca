// Backward pass of a group of low-rank branches. Floor on the CPU: x is read once, each dy twice, dx read and written once.
// Tasks take all members for a block of tokens of dx, and for a block of columns of x, which then stay in the cache.
#include "lowrank/group.h"
#include "runtime/convert.h"

namespace vbl {
namespace cuda {
namespace {

constexpr int64_t kLeastTokens = 32, kMostTokens = 256;  // of a block
constexpr int64_t kBlocks = 512;  // to aim at: some per multiprocessor, whatever the device, so that bits agree

LowrankPass plan_pass(const LowrankBranch &l, int64_t columns) {
  const int64_t window = 512 / dtype_bytes(l.dtype);  // 16 bytes per lane
  LowrankPass pass;
  pass.windows = (columns + window - 1) / window;
  const int64_t wanted = (kBlocks + pass.windows - 1) / pass.windows;
  const int64_t even = (l.tokens / wanted + kLeastTokens - 1) / kLeastTokens * kLeastTokens;
  pass.chunk = static_cast<int32_t>(even < kLeastTokens ? kLeastTokens : even > kMostTokens ? kMostTokens : even);
  pass.chunks = (l.tokens + pass.chunk - 1) / pass.chunk;
  return pass;
}

}  // namespace

LowrankBackwardPlan plan_lowrank_backward(const LowrankBranch &l, Scratch &scratch) {
  LowrankBackwardPlan plan;
  plan.over_dy = plan_pass(l, l.out);
  plan.over_x = plan_pass(l, l.in);
  plan.q = scratch.take<float>(plan.over_dy.windows, l.tokens * l.r);
  plan.dbt = scratch.take<float>(plan.over_dy.chunks, l.out * l.r);
  plan.da = scratch.take<float>(plan.over_x.chunks, l.in * l.r);
  return plan;
}

}  // namespace cuda

namespace {

int64_t backward_scratch_bytes(const vbl_stream *stream, const vbl_lowrank &lowrank) {
  if (stream->device == VBL_DEVICE_CPU || lowrank.tokens == 0) return 0;
  Scratch measure;
  for (int32_t m = 0; m < lowrank.members; ++m) cuda::plan_lowrank_backward(lowrank_branch(lowrank, m), measure);
  return measure.bytes();
}

int64_t column_blocks(int64_t columns) { return (columns + kLowrankColumns - 1) / kLowrankColumns; }

// Where a block of columns ends.
int64_t block_end(int64_t begin, int64_t columns) {
  return begin + kLowrankColumns < columns ? begin + kLowrankColumns : columns;
}

}  // namespace
}  // namespace vbl

extern "C" int64_t vbl_lowrank_scratch_bytes(const vbl_stream *stream, const vbl_lowrank *lowrank) {
  const auto checked = [&]() -> vbl_status {
    VBL_REQUIRE_NOT_NULL_OF("vbl_lowrank_scratch_bytes", stream);
    return vbl::check_group("vbl_lowrank_scratch_bytes", stream, lowrank);
  };
  const vbl_status status = checked();
  return status == VBL_OK ? vbl::backward_scratch_bytes(stream, *lowrank) : -static_cast<int64_t>(status);
}

extern "C" vbl_status vbl_lowrank_backward(vbl_stream *stream, const vbl_lowrank *lowrank, const vbl_step *step,
                                           const void *x, const vbl_lowrank_matrices *matrices, void *dx, void *scratch,
                                           int64_t scratch_bytes) {
  VBL_REQUIRE_NOT_NULL(stream);
  VBL_TRY(vbl::check_group(__func__, stream, lowrank, step));
  if (lowrank->tokens == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(x, matrices);
  for (int32_t m = 0; m < lowrank->members; ++m)
    VBL_REQUIRE_NOT_NULL(matrices[m].a, matrices[m].bt, matrices[m].reduced, matrices[m].dy, matrices[m].dreduced,
                         matrices[m].da, matrices[m].dbt);
  VBL_TRY(vbl::check_scratch(__func__, scratch, scratch_bytes, vbl::backward_scratch_bytes(stream, *lowrank)));
  VBL_ON_CUDA(stream, vbl::cuda::lowrank_backward(stream, *lowrank, step, x, matrices, dx, scratch));
  const vbl::LowrankGroup group = vbl::lowrank_group(*lowrank, step, matrices);
  const int64_t tokens = lowrank->tokens, in = lowrank->in_features, ldx = group.member[0].branch.ldx;
  const float *xs = static_cast<const float *>(x);
  float *dxs = static_cast<float *>(dx);
  vbl::parallel_for(stream, tokens, group.tokens_per_task(), [&](int64_t begin, int64_t end) {
    for (const vbl::LowrankMember &m : group) {
      const vbl::LowrankBranch &b = m.branch;
      float *q = m.q + begin * b.r;
      VBL_SIMD(lowrank_project)(end - begin, b.out, b.ldy, b.r, m.dy + begin * b.ldy, m.bt, b.scaling, nullptr, begin,
                                q);
      if (dxs != nullptr)
        VBL_SIMD(lowrank_expand)(end - begin, in, ldx, b.r, q, m.a, 1, m.dropout(), begin, dxs + begin * ldx);
    }
  });

  // The blocks of x come first: they have all members' work.
  const int64_t of_x = vbl::column_blocks(in);
  int64_t blocks = of_x;
  for (const vbl::LowrankMember &m : group) blocks += vbl::column_blocks(m.branch.out);
  const int64_t grain = vbl::rows_per_task(tokens * kLowrankColumns, vbl::kLowrankTask);
  vbl::parallel_for(stream, blocks, grain, [&](int64_t first, int64_t last) {
    for (int64_t block = first; block < last; ++block) {
      if (block < of_x) {
        const int64_t begin = block * kLowrankColumns, end = vbl::block_end(begin, in);
        for (int64_t t = 0; t < tokens; t += kLowrankChunk) {
          const int64_t chunk = t + kLowrankChunk < tokens ? kLowrankChunk : tokens - t;
          for (const vbl::LowrankMember &m : group)
            VBL_SIMD(lowrank_accumulate)(chunk, in, ldx, m.branch.r, begin, end, m.q + t * m.branch.r, xs + t * ldx, 1,
                                         m.dropout(), t, m.da);
        }
        continue;
      }
      const vbl::LowrankMember *m = group.begin();
      int64_t of_dy = block - of_x;
      for (; of_dy >= vbl::column_blocks(m->branch.out); ++m) of_dy -= vbl::column_blocks(m->branch.out);
      const vbl::LowrankBranch &b = m->branch;
      const int64_t begin = of_dy * kLowrankColumns, end = vbl::block_end(begin, b.out);
      VBL_SIMD(lowrank_accumulate)(tokens, b.out, b.ldy, b.r, begin, end, m->p, m->dy, b.scaling, nullptr, 0, m->dbt);
    }
  });
  return VBL_OK;
}
