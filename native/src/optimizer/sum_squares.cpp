#include "optimizer/sum_squares.h"

#include "optimizer/sum_squares.simd.h"
#include "runtime/scratch.h"
#include "runtime/stream.h"
#include "vblora/optimizer.h"

namespace vbl {
namespace {

constexpr int64_t kPiece = 1 << 16;

vbl_status check(const char *op, const vbl_stream *stream, int64_t n) {
  VBL_REQUIRE_NOT_NULL_OF(op, stream);
  VBL_REQUIRE(n >= 0, "%s: n must not be negative, found %lld", op, static_cast<long long>(n));
  return VBL_OK;
}

// A partial sum per piece, which on CUDA is what a block adds up.
double *lay_out(Scratch &scratch, const vbl_stream *stream, int64_t n) {
  return scratch.take<double>(stream->device == VBL_DEVICE_CPU ? n / kPiece + 1 : cuda::sum_squares_blocks(n));
}

}  // namespace
}  // namespace vbl

extern "C" int64_t vbl_sum_squares_scratch_bytes(const vbl_stream *stream, int64_t n) {
  if (vbl::check(__func__, stream, n) != VBL_OK) return -1;
  vbl::Scratch scratch;
  vbl::lay_out(scratch, stream, n);
  return scratch.bytes();
}

extern "C" vbl_status vbl_sum_squares(vbl_stream *stream, int64_t n, const float *x, double *sum, void *scratch,
                                      int64_t scratch_bytes) {
  VBL_TRY(vbl::check(__func__, stream, n));
  VBL_REQUIRE_NOT_NULL(sum);
  if (n == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(x);
  VBL_TRY(vbl::check_scratch(__func__, scratch, scratch_bytes, vbl_sum_squares_scratch_bytes(stream, n)));
  vbl::Scratch memory(scratch);
  double *partial = vbl::lay_out(memory, stream, n);
  VBL_ON_CUDA(stream, vbl::cuda::sum_squares(stream, n, x, sum, partial));
  const auto sum_squares = VBL_SIMD(sum_squares);
  vbl::parallel_for(stream, n, vbl::kPiece, [&](int64_t begin, int64_t end) {
    partial[begin / vbl::kPiece] = sum_squares(end - begin, x + begin);
  });
  double total = 0;
  for (int64_t piece = 0; piece * vbl::kPiece < n; ++piece) total += partial[piece];
  *sum += total;
  return VBL_OK;
}
