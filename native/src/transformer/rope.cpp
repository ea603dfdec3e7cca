// Rotary position embedding (Su et al., arXiv 2104.09864), half-split.
#include "transformer/shape.h"
#include "vblora/transformer.h"

namespace {

// sign is 1 to rotate, -1 to rotate back.
void rotate(int64_t half, const float *__restrict cos, const float *__restrict sin, float sign, float *__restrict x1,
            float *__restrict x2) {
  for (int64_t i = 0; i < half; ++i) {
    const float a = x1[i], b = x2[i], s = sign * sin[i];
    x1[i] = a * cos[i] - b * s;
    x2[i] = b * cos[i] + a * s;
  }
}

}  // namespace

extern "C" vbl_status vbl_rope(vbl_stream *stream, int32_t dtype, int64_t tokens, int32_t heads, int32_t head_dim,
                               const int32_t *positions, const float *cos, const float *sin, int32_t inverse, void *x,
                               int64_t ldx) {
  VBL_REQUIRE_CPU_DTYPE(stream, dtype);
  VBL_REQUIRE_SIZE(tokens, 0);
  VBL_REQUIRE_SIZE(heads, 1);
  VBL_REQUIRE(head_dim >= 2 && head_dim % 2 == 0, "vbl_rope: head_dim must be even and positive, found %d", head_dim);
  VBL_REQUIRE(inverse == 0 || inverse == 1, "vbl_rope: inverse must be 0 or 1, found %d", inverse);
  const int64_t half = head_dim / 2, width = int64_t{heads} * head_dim;
  VBL_TRY(vbl::set_leading(__func__, "ldx", width, ldx));
  if (tokens == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(positions, cos, sin, x);
  VBL_TRY(vbl::check_range(__func__, "positions", tokens, positions, int64_t{1} << 31));
  vbl::parallel_for(stream, tokens, vbl::rows_per_task(width), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const float *c = cos + positions[t] * half, *s = sin + positions[t] * half;
      float *row = vbl::floats(x) + t * ldx;
      for (int64_t h = 0; h < width; h += head_dim) rotate(half, c, s, inverse ? -1.0f : 1.0f, row + h, row + h + half);
    }
  });
  return VBL_OK;
}
