// The low-rank branch of a linear layer on the CPU.
// Floor: forward reads x once, reads and writes y; backward reads x once, dy twice, and reads and writes dx.
#include <cmath>

#include "lowrank/lowrank.simd.h"
#include "runtime/stream.h"
#include "vblora/lowrank.h"

namespace {

constexpr int64_t kTaskFloats = 64 << 10;  // matrix elements that are worth a task of their own

vbl_status check(const char *op, const vbl_lowrank *lowrank, const vbl_step *step, vbl::Dropout *dropout) {
  VBL_REQUIRE(lowrank != nullptr, "%s: lowrank must not be NULL", op);
  const vbl_lowrank &l = *lowrank;
  const long long tokens = l.tokens, in = l.in_features, out = l.out_features;
  VBL_REQUIRE(tokens >= 0, "%s: tokens must not be negative, found %lld", op, tokens);
  VBL_REQUIRE(in >= 1, "%s: in_features must be positive, found %lld", op, in);
  VBL_REQUIRE(out >= 1, "%s: out_features must be positive, found %lld", op, out);
  VBL_REQUIRE(l.r >= 1, "%s: r must be positive, found %d", op, l.r);
  const double scaling = l.scaling, probability = l.dropout;
  VBL_REQUIRE(std::isfinite(scaling), "%s: scaling must be finite, found %g", op, scaling);
  VBL_REQUIRE(probability >= 0 && probability < 1, "%s: dropout must lie in [0, 1), found %g", op, probability);
  if (l.dropout == 0) return VBL_OK;
  VBL_REQUIRE(step != nullptr, "%s: step must not be NULL with dropout", op);
  VBL_REQUIRE(step->micro_batch >= 0 && step->micro_batch < 1 << 16, "%s: micro_batch must lie in 0 .. 65535, found %d",
              op, step->micro_batch);
  const long long first = l.first_token, limit = (int64_t{1} << 50) / in;
  VBL_REQUIRE(first >= 0 && first <= limit && tokens <= limit - first,
              "%s: first_token %lld and %lld tokens of %lld elements are out of range for dropout", op, first, tokens, in);
  *dropout = {step->seed,
              static_cast<uint32_t>(step->step),
              static_cast<uint32_t>(step->micro_batch),
              l.module,
              static_cast<uint32_t>(std::nearbyint(probability * 0x1p32)),
              static_cast<float>(1 / (1 - probability)),
              static_cast<uint64_t>(first * in)};
  return VBL_OK;
}

// Rows or pieces per task, where one has this many elements.
int64_t grain(int64_t elements) { return elements >= kTaskFloats ? 1 : kTaskFloats / elements; }

}  // namespace

extern "C" vbl_status vbl_lowrank_forward(vbl_stream *stream, const vbl_lowrank *lowrank, const vbl_step *step,
                                          const float *x, const float *a, const float *bt, float *p, float *y) {
  VBL_REQUIRE_CPU(stream);
  vbl::Dropout drawn;
  VBL_TRY(check(__func__, lowrank, step, &drawn));
  if (lowrank->tokens == 0) return VBL_OK;
  VBL_REQUIRE_POINTER(x);
  VBL_REQUIRE_POINTER(a);
  VBL_REQUIRE_POINTER(bt);
  VBL_REQUIRE_POINTER(p);
  VBL_REQUIRE_POINTER(y);
  const vbl_lowrank l = *lowrank;
  const int64_t in = l.in_features, out = l.out_features;
  const vbl::Dropout *dropout = l.dropout > 0 ? &drawn : nullptr;
  vbl::parallel_for(stream, l.tokens, grain(in + out), [&](int64_t begin, int64_t end) {
    VBL_SIMD(lowrank_project)(end - begin, in, l.r, x + begin * in, a, 1, dropout, begin, p + begin * l.r);
    VBL_SIMD(lowrank_expand)(end - begin, out, l.r, p + begin * l.r, bt, l.scaling, nullptr, begin, y + begin * out);
  });
  return VBL_OK;
}

extern "C" vbl_status vbl_lowrank_backward(vbl_stream *stream, const vbl_lowrank *lowrank, const vbl_step *step,
                                           const float *x, const float *dy, const float *a, const float *bt,
                                           const float *p, float *q, float *dx, float *da, float *dbt) {
  VBL_REQUIRE_CPU(stream);
  vbl::Dropout drawn;
  VBL_TRY(check(__func__, lowrank, step, &drawn));
  if (lowrank->tokens == 0) return VBL_OK;
  VBL_REQUIRE_POINTER(x);
  VBL_REQUIRE_POINTER(dy);
  VBL_REQUIRE_POINTER(a);
  VBL_REQUIRE_POINTER(bt);
  VBL_REQUIRE_POINTER(p);
  VBL_REQUIRE_POINTER(q);
  VBL_REQUIRE_POINTER(da);
  VBL_REQUIRE_POINTER(dbt);
  const vbl_lowrank l = *lowrank;
  const int64_t in = l.in_features, out = l.out_features;
  const vbl::Dropout *dropout = l.dropout > 0 ? &drawn : nullptr;
  vbl::parallel_for(stream, l.tokens, grain(in + out), [&](int64_t begin, int64_t end) {
    float *qs = q + begin * l.r;
    VBL_SIMD(lowrank_project)(end - begin, out, l.r, dy + begin * out, bt, l.scaling, nullptr, begin, qs);
    if (dx != nullptr) VBL_SIMD(lowrank_expand)(end - begin, in, l.r, qs, a, 1, dropout, begin, dx + begin * in);
  });
  const auto pieces = [](int64_t columns) { return (columns + kLowrankColumns - 1) / kLowrankColumns; };
  const int64_t in_pieces = pieces(in), all_pieces = in_pieces + pieces(out);
  vbl::parallel_for(stream, all_pieces, grain(l.tokens * kLowrankColumns), [&](int64_t first, int64_t last) {
    for (int64_t piece = first; piece < last; ++piece) {
      const bool of_a = piece < in_pieces;
      const int64_t columns = of_a ? in : out, begin = (of_a ? piece : piece - in_pieces) * kLowrankColumns;
      const int64_t end = begin + kLowrankColumns < columns ? begin + kLowrankColumns : columns;
      if (of_a)
        VBL_SIMD(lowrank_accumulate)(l.tokens, columns, l.r, begin, end, q, x, 1, dropout, da);
      else
        VBL_SIMD(lowrank_accumulate)(l.tokens, columns, l.r, begin, end, p, dy, l.scaling, nullptr, dbt);
    }
  });
  return VBL_OK;
}

extern "C" vbl_status vbl_dropout_mask(vbl_stream *stream, const vbl_lowrank *lowrank, const vbl_step *step,
                                       float *mask) {
  VBL_REQUIRE_CPU(stream);
  vbl::Dropout dropout{};
  VBL_TRY(check(__func__, lowrank, step, &dropout));
  if (lowrank->tokens == 0) return VBL_OK;
  VBL_REQUIRE_POINTER(mask);
  if (lowrank->dropout == 0) dropout.kept = 1;
  const int64_t n = lowrank->tokens * lowrank->in_features;
  vbl::parallel_for(stream, n, kTaskFloats, [&](int64_t begin, int64_t end) {
    VBL_SIMD(dropout_mask)(dropout, static_cast<uint64_t>(begin), end - begin, mask + begin);
  });
  return VBL_OK;
}
