// Backward pass of the low-rank branch. Floor on the CPU: x is read once, dy twice, dx read and written once.
#include "lowrank/lowrank.h"
#include "lowrank/lowrank.simd.h"
#include "runtime/convert.h"
#include "runtime/stream.h"

namespace vbl {
namespace cuda {
namespace {

constexpr int64_t kLeastTokens = 32, kMostTokens = 256;  // of a block
constexpr int64_t kBlocks = 512;  // to aim at: some per multiprocessor, whatever the device, so that bits agree

LowrankPass plan_pass(const vbl_lowrank &l, int64_t columns) {
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

LowrankBackwardPlan plan_lowrank_backward(const vbl_lowrank &l, Scratch &scratch) {
  LowrankBackwardPlan plan;
  plan.over_dy = plan_pass(l, l.out_features);
  plan.over_x = plan_pass(l, l.in_features);
  plan.q = scratch.take<float>(plan.over_dy.windows, l.tokens * l.r);
  plan.dbt = scratch.take<float>(plan.over_dy.chunks, l.out_features * l.r);
  plan.da = scratch.take<float>(plan.over_x.chunks, l.in_features * l.r);
  return plan;
}

}  // namespace cuda
}  // namespace vbl

namespace {

int64_t backward_scratch_bytes(const vbl_stream *stream, const vbl_lowrank &lowrank) {
  if (stream->device == VBL_DEVICE_CPU || lowrank.tokens == 0) return 0;
  vbl::Scratch measure;
  vbl::cuda::plan_lowrank_backward(lowrank, measure);
  return measure.bytes();
}

}  // namespace

extern "C" int64_t vbl_lowrank_scratch_bytes(const vbl_stream *stream, const vbl_lowrank *lowrank) {
  const auto checked = [&]() -> vbl_status {
    VBL_REQUIRE_NOT_NULL_OF("vbl_lowrank_scratch_bytes", stream);
    return vbl::check_shape("vbl_lowrank_scratch_bytes", stream, lowrank);
  };
  const vbl_status status = checked();
  return status == VBL_OK ? backward_scratch_bytes(stream, *lowrank) : -static_cast<int64_t>(status);
}

extern "C" vbl_status vbl_lowrank_backward(vbl_stream *stream, const vbl_lowrank *lowrank, const vbl_step *step,
                                           const void *x, const void *dy, const void *a, const void *bt, const float *p,
                                           float *q, void *dx, float *da, float *dbt, void *scratch,
                                           int64_t scratch_bytes) {
  VBL_REQUIRE_NOT_NULL(stream);
  VBL_TRY(vbl::check_lowrank(__func__, stream, lowrank, step));
  if (lowrank->tokens == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(x, dy, a, bt, p, q, da, dbt);
  VBL_TRY(vbl::check_scratch(__func__, scratch, scratch_bytes, backward_scratch_bytes(stream, *lowrank)));
  VBL_ON_CUDA(stream, vbl::cuda::lowrank_backward(stream, *lowrank, step, x, dy, a, bt, p, q, dx, da, dbt, scratch));
  const vbl_lowrank l = *lowrank;
  const int64_t in = l.in_features, out = l.out_features;
  vbl::Dropout drawn = vbl::module_dropout(l);
  if (l.dropout > 0) vbl::set_key(drawn, *step);
  const vbl::Dropout *dropout = l.dropout > 0 ? &drawn : nullptr;
  const float *xs = static_cast<const float *>(x), *dys = static_cast<const float *>(dy);
  const float *as = static_cast<const float *>(a), *bts = static_cast<const float *>(bt);
  float *dxs = static_cast<float *>(dx);
  vbl::parallel_for(stream, l.tokens, vbl::rows_per_task(in + out, vbl::kLowrankTask), [&](int64_t begin, int64_t end) {
    float *qs = q + begin * l.r;
    VBL_SIMD(lowrank_project)(end - begin, out, l.r, dys + begin * out, bts, l.scaling, nullptr, begin, qs);
    if (dxs != nullptr) VBL_SIMD(lowrank_expand)(end - begin, in, l.r, qs, as, 1, dropout, begin, dxs + begin * in);
  });
  const auto pieces = [](int64_t columns) { return (columns + kLowrankColumns - 1) / kLowrankColumns; };
  const int64_t in_pieces = pieces(in), all_pieces = in_pieces + pieces(out);
  const int64_t grain = vbl::rows_per_task(l.tokens * kLowrankColumns, vbl::kLowrankTask);
  vbl::parallel_for(stream, all_pieces, grain, [&](int64_t first, int64_t last) {
    for (int64_t piece = first; piece < last; ++piece) {
      const bool of_a = piece < in_pieces;
      const int64_t columns = of_a ? in : out, begin = (of_a ? piece : piece - in_pieces) * kLowrankColumns;
      const int64_t end = begin + kLowrankColumns < columns ? begin + kLowrankColumns : columns;
      if (of_a)
        VBL_SIMD(lowrank_accumulate)(l.tokens, columns, l.r, begin, end, q, xs, 1, dropout, da);
      else
        VBL_SIMD(lowrank_accumulate)(l.tokens, columns, l.r, begin, end, p, dys, l.scaling, nullptr, dbt);
    }
  });
  return VBL_OK;
}
