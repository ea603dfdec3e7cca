#include "lowrank/lowrank.h"

#include <cmath>

#include "runtime/stream.h"

namespace vbl {

vbl_status check_factors(const char *op, const vbl_lowrank *lowrank) {
  VBL_REQUIRE_NOT_NULL_OF(op, lowrank);
  const vbl_lowrank &l = *lowrank;
  const long long in = l.in_features, out = l.out_features, most = INT64_C(1) << 50;
  VBL_REQUIRE(in >= 1, "%s: in_features must be positive, found %lld", op, in);
  VBL_REQUIRE(out >= 1, "%s: out_features must be positive, found %lld", op, out);
  VBL_REQUIRE(l.r >= 1 && l.r <= 65536, "%s: r must lie in 1 .. 65536, found %d", op, l.r);
  VBL_REQUIRE(in <= most / l.r && out <= most / l.r, "%s: %d ranks of %lld and %lld features are out of range", op, l.r,
              in, out);
  const double scaling = l.scaling;
  VBL_REQUIRE(std::isfinite(scaling), "%s: scaling must be finite, found %g", op, scaling);
  VBL_REQUIRE(l.factor_dtype >= VBL_FLOAT32 && l.factor_dtype <= VBL_FLOAT16, "%s: unknown factor_dtype %d", op,
              l.factor_dtype);
  return VBL_OK;
}

vbl_status check_shape(const char *op, const vbl_stream *stream, const vbl_lowrank *lowrank) {
  VBL_TRY(check_factors(op, lowrank));
  const vbl_lowrank &l = *lowrank;
  VBL_REQUIRE(l.dtype >= VBL_FLOAT32 && l.dtype <= VBL_FLOAT16, "%s: unknown dtype %d", op, l.dtype);
  if (stream->device == VBL_DEVICE_CPU && (l.dtype != VBL_FLOAT32 || l.factor_dtype != VBL_FLOAT32))
    return fail(VBL_UNSUPPORTED, "%s: on the CPU dtype and factor_dtype must be float32 (%d), found %d and %d", op,
                VBL_FLOAT32, l.dtype, l.factor_dtype);
  const long long tokens = l.tokens, in = l.in_features, out = l.out_features, first = l.first_token;
  VBL_REQUIRE(tokens >= 0, "%s: tokens must not be negative, found %lld", op, tokens);
  const long long limit = (INT64_C(1) << 50) / (in > out ? in : out);
  VBL_REQUIRE(first >= 0 && first <= limit && tokens <= limit - first,
              "%s: first_token %lld and %lld tokens of %lld and %lld features are out of range", op, first, tokens, in,
              out);
  const double probability = l.dropout;
  VBL_REQUIRE(probability >= 0 && probability < 1, "%s: dropout must lie in [0, 1), found %g", op, probability);
  return VBL_OK;
}

vbl_status check_lowrank(const char *op, const vbl_stream *stream, const vbl_lowrank *lowrank, const vbl_step *step) {
  VBL_TRY(check_shape(op, stream, lowrank));
  if (lowrank->dropout == 0) return VBL_OK;
  VBL_REQUIRE(step != nullptr, "%s: step must not be NULL with dropout", op);
  if (stream->device == VBL_DEVICE_CPU)
    VBL_REQUIRE(step->micro_batch >= 0 && step->micro_batch < 1 << 16,
                "%s: micro_batch must lie in 0 .. 65535, found %d", op, step->micro_batch);
  return VBL_OK;
}

Dropout module_dropout(const vbl_lowrank &l) {
  const double probability = l.dropout;
  Dropout dropout{};
  dropout.module = l.module;
  dropout.threshold = static_cast<uint32_t>(std::nearbyint(probability * 0x1p32));
  dropout.kept = static_cast<float>(1 / (1 - probability));
  dropout.first = static_cast<uint64_t>(l.first_token) * static_cast<uint64_t>(l.in_features);
  return dropout;
}

}  // namespace vbl
