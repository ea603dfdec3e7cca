#include "admixture/compose.h"

#include "admixture/admixture.h"
#include "admixture/compose.simd.h"
#include "runtime/convert.h"

extern "C" vbl_status vbl_compose(vbl_stream *stream, const vbl_admixture *admixture, const float *bank,
                                  const int32_t *indices, const float *weights, void *packed, int32_t dtype) {
  VBL_REQUIRE_NOT_NULL(stream);
  VBL_TRY(vbl::check_admixture(__func__, admixture));
  VBL_REQUIRE(dtype >= VBL_FLOAT32 && dtype <= VBL_FLOAT16, "%s: unknown dtype %d", __func__, dtype);
  VBL_REQUIRE_NOT_NULL(bank, indices, weights, packed);
  VBL_ON_CUDA(stream, vbl::cuda::compose(stream, *admixture, bank, indices, weights, packed, dtype));
  VBL_TRY(vbl::check_indices(__func__, stream, *admixture, indices));
  VBL_TRY(vbl::check_slots(__func__, stream, *admixture));
  const int64_t length = admixture->vector_length, bytes = vbl::dtype_bytes(dtype);
  const int32_t topk = admixture->topk;
  const auto mix = VBL_SIMD(mix);
  vbl::parallel_for(stream, admixture->rows, vbl::rows_per_task(length), [&](int64_t begin, int64_t end) {
    constexpr int64_t kColumns = 1024;
    float buffer[kColumns];
    for (int64_t row = begin; row < end; ++row) {
      const int64_t slot = admixture->slots != nullptr ? admixture->slots[row] : row;
      char *out = static_cast<char *>(packed) + slot * length * bytes;
      const int32_t *index = indices + row * topk;
      const float *weight = weights + row * topk;
      if (dtype == VBL_FLOAT32) {
        mix(length, topk, bank, length, index, weight, reinterpret_cast<float *>(out));
        continue;
      }
      for (int64_t column = 0; column < length; column += kColumns) {
        const int64_t n = length - column < kColumns ? length - column : kColumns;
        mix(n, topk, bank + column, length, index, weight, buffer);
        vbl::narrow(n, buffer, out + column * bytes, dtype);
      }
    }
  });
  return VBL_OK;
}
