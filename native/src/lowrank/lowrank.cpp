#include "lowrank/lowrank.h"

#include <cmath>

#include "runtime/stream.h"

namespace vbl {
namespace {

constexpr long long kMost = INT64_C(1) << 50;  // elements of a matrix

vbl_status check_factors(const char *op, long long in, long long out, int32_t r, double scaling) {
  VBL_REQUIRE(in >= 1, "%s: in_features must be positive, found %lld", op, in);
  VBL_REQUIRE(out >= 1, "%s: out_features must be positive, found %lld", op, out);
  VBL_REQUIRE(r >= 1 && r <= 65536, "%s: r must lie in 1 .. 65536, found %d", op, r);
  VBL_REQUIRE(in <= kMost / r && out <= kMost / r, "%s: %d ranks of %lld and %lld features are out of range", op, r, in,
              out);
  VBL_REQUIRE(std::isfinite(scaling), "%s: scaling must be finite, found %g", op, scaling);
  return VBL_OK;
}

vbl_status check_factor_dtype(const char *op, int32_t dtype) {
  VBL_REQUIRE(dtype >= VBL_FLOAT32 && dtype <= VBL_FLOAT16, "%s: unknown factor_dtype %d", op, dtype);
  return VBL_OK;
}

// Checks a matrix of a batch: [tokens, features] in rows that lie ld elements apart.
vbl_status check_rows(const char *op, const vbl_lowrank &l, const char *name, long long ld, long long features) {
  VBL_REQUIRE(ld == 0 || ld >= features, "%s: %s must be 0 or at least the %lld features of a row, found %lld", op,
              name, features, ld);
  const long long tokens = l.tokens, first = l.first_token, limit = kMost / (ld > features ? ld : features);
  VBL_REQUIRE(first >= 0 && first <= limit && tokens <= limit - first,
              "%s: first_token %lld and %lld tokens of %lld features, %s %lld, are out of range", op, first, tokens,
              features, name, ld);
  return VBL_OK;
}

}  // namespace

vbl_status check_update(const char *op, const vbl_lowrank_update *update) {
  VBL_REQUIRE_NOT_NULL_OF(op, update);
  const vbl_lowrank_update &u = *update;
  VBL_TRY(check_factors(op, u.in_features, u.out_features, u.r, u.scaling));
  return check_factor_dtype(op, u.factor_dtype);
}

vbl_status check_group(const char *op, const vbl_stream *stream, const vbl_lowrank *lowrank) {
  VBL_REQUIRE_NOT_NULL_OF(op, lowrank);
  const vbl_lowrank &l = *lowrank;
  VBL_REQUIRE(l.members >= 1 && l.members <= VBL_LOWRANK_MEMBERS, "%s: members must lie in 1 .. %d, found %d", op,
              VBL_LOWRANK_MEMBERS, l.members);
  for (int32_t m = 0; m < l.members; ++m)
    VBL_TRY(check_factors(op, l.in_features, l.member[m].out_features, l.member[m].r, l.member[m].scaling));
  VBL_TRY(check_factor_dtype(op, l.factor_dtype));
  VBL_REQUIRE(l.dtype >= VBL_FLOAT32 && l.dtype <= VBL_FLOAT16, "%s: unknown dtype %d", op, l.dtype);
  if (stream->device == VBL_DEVICE_CPU && (l.dtype != VBL_FLOAT32 || l.factor_dtype != VBL_FLOAT32))
    return fail(VBL_UNSUPPORTED, "%s: on the CPU dtype and factor_dtype must be float32 (%d), found %d and %d", op,
                VBL_FLOAT32, l.dtype, l.factor_dtype);
  const long long tokens = l.tokens;
  VBL_REQUIRE(tokens >= 0, "%s: tokens must not be negative, found %lld", op, tokens);
  VBL_TRY(check_rows(op, l, "ldx", l.ldx, l.in_features));
  for (int32_t m = 0; m < l.members; ++m) VBL_TRY(check_rows(op, l, "ldy", l.member[m].ldy, l.member[m].out_features));
  const double probability = l.dropout;
  VBL_REQUIRE(probability >= 0 && probability < 1, "%s: dropout must lie in [0, 1), found %g", op, probability);
  return VBL_OK;
}

vbl_status check_group(const char *op, const vbl_stream *stream, const vbl_lowrank *lowrank, const vbl_step *step) {
  VBL_TRY(check_group(op, stream, lowrank));
  if (lowrank->dropout == 0) return VBL_OK;
  VBL_REQUIRE(step != nullptr, "%s: step must not be NULL with dropout", op);
  if (stream->device == VBL_DEVICE_CPU)
    VBL_REQUIRE(step->micro_batch >= 0 && step->micro_batch < 1 << 16,
                "%s: micro_batch must lie in 0 .. 65535, found %d", op, step->micro_batch);
  return VBL_OK;
}

LowrankBranch lowrank_branch(const vbl_lowrank &l, int32_t member) {
  const vbl_lowrank_member &m = l.member[member];
  const double probability = l.dropout;
  LowrankBranch branch{};
  branch.tokens = l.tokens;
  branch.in = l.in_features;
  branch.out = m.out_features;
  branch.ldx = l.ldx == 0 ? l.in_features : l.ldx;
  branch.ldy = m.ldy == 0 ? m.out_features : m.ldy;
  branch.r = m.r;
  branch.dtype = l.dtype;
  branch.factor_dtype = l.factor_dtype;
  branch.scaling = m.scaling;
  branch.drops = probability > 0;
  branch.dropout.module = m.module;
  branch.dropout.threshold = static_cast<uint32_t>(std::nearbyint(probability * 0x1p32));
  branch.dropout.kept = static_cast<float>(1 / (1 - probability));
  branch.dropout.first = static_cast<uint64_t>(l.first_token) * static_cast<uint64_t>(l.in_features);
  return branch;
}

}  // namespace vbl
