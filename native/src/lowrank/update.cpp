// Delta weights and merging. Floor: the weights are written, or read and written, once; 2 · r float64 FLOPs per
// element.
#include "lowrank/lowrank.h"
#include "runtime/convert.h"
#include "runtime/stream.h"

namespace {

constexpr int64_t kPiece = 512;  // columns of a row at a time

vbl_status checked_update(const char *op, const vbl_stream *stream, const vbl_lowrank_update *update, const void *a,
                          const void *bt, vbl::Update *checked) {
  VBL_REQUIRE_NOT_NULL_OF(op, stream);
  VBL_TRY(vbl::check_update(op, update));
  VBL_REQUIRE_NOT_NULL_OF(op, a, bt);
  const vbl_lowrank_update &u = *update;
  const bool by_in = u.fan_in_fan_out != 0;
  *checked = {by_in ? u.in_features : u.out_features,
              by_in ? u.out_features : u.in_features,
              u.r,
              u.factor_dtype,
              u.scaling,
              by_in ? a : bt,
              by_in ? bt : a};
  return VBL_OK;
}

// n elements of factors from element `first`, as float32.
void read_factors(const vbl::Update &u, const void *factors, int64_t first, int64_t n, float *to) {
  vbl::widen(n, static_cast<const char *>(factors) + first * vbl::dtype_bytes(u.factor_dtype), u.factor_dtype, to);
}

// Calls write(row, first column, columns, sums) for all pieces of rows.
template <typename Write>
void for_each_piece(vbl_stream *stream, const vbl::Update &u, const Write &write) {
  const int64_t pieces = (u.columns + kPiece - 1) / kPiece;
  const int64_t grain = vbl::rows_per_task(kPiece * u.r, vbl::kLowrankTask);
  vbl::parallel_for(stream, u.rows * pieces, grain, [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      const int64_t row = piece / pieces, first = piece % pieces * kPiece;
      const int64_t columns = u.columns - first < kPiece ? u.columns - first : kPiece;
      double sums[kPiece] = {};
      float left, right[kPiece];
      for (int64_t k = 0; k < u.r; ++k) {
        read_factors(u, u.left, k * u.rows + row, 1, &left);
        read_factors(u, u.right, k * u.columns + first, columns, right);
        const double factor = static_cast<double>(u.scaling) * left;
        for (int64_t c = 0; c < columns; ++c) sums[c] += factor * right[c];
      }
      write(row, first, columns, sums);
    }
  });
}

}  // namespace

extern "C" vbl_status vbl_lowrank_delta(vbl_stream *stream, const vbl_lowrank_update *update, const void *a,
                                        const void *bt, float *delta) {
  vbl::Update u;
  VBL_TRY(checked_update(__func__, stream, update, a, bt, &u));
  VBL_REQUIRE_NOT_NULL(delta);
  VBL_ON_CUDA(stream, vbl::cuda::lowrank_delta(stream, u, delta));
  for_each_piece(stream, u, [&](int64_t row, int64_t first, int64_t columns, const double *sums) {
    float *to = delta + row * u.columns + first;
    for (int64_t c = 0; c < columns; ++c) to[c] = static_cast<float>(sums[c]);
  });
  return VBL_OK;
}

extern "C" vbl_status vbl_lowrank_merge(vbl_stream *stream, const vbl_lowrank_update *update, int32_t sign,
                                        const void *a, const void *bt, void *weight, int32_t weight_dtype) {
  vbl::Update u;
  VBL_TRY(checked_update(__func__, stream, update, a, bt, &u));
  VBL_REQUIRE(sign == 1 || sign == -1, "vbl_lowrank_merge: sign must be 1 or -1, found %d", sign);
  VBL_REQUIRE(weight_dtype >= VBL_FLOAT32 && weight_dtype <= VBL_FLOAT16, "vbl_lowrank_merge: unknown weight_dtype %d",
              weight_dtype);
  VBL_REQUIRE_NOT_NULL(weight);
  VBL_ON_CUDA(stream, vbl::cuda::lowrank_merge(stream, u, sign, weight, weight_dtype));
  const int64_t bytes = vbl::dtype_bytes(weight_dtype);
  for_each_piece(stream, u, [&](int64_t row, int64_t first, int64_t columns, const double *sums) {
    char *at = static_cast<char *>(weight) + (row * u.columns + first) * bytes;
    float values[kPiece];
    vbl::widen(columns, at, weight_dtype, values);
    if (weight_dtype == VBL_FLOAT32)
      for (int64_t c = 0; c < columns; ++c) values[c] = static_cast<float>(values[c] + sign * sums[c]);
    else
      for (int64_t c = 0; c < columns; ++c) values[c] = vbl::round_to_odd(values[c] + sign * sums[c]);
    vbl::narrow(columns, values, at, weight_dtype);
  });
  return VBL_OK;
}
