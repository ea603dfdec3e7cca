// The squared error and its gradient. Floor: predictions and targets are read once, dpredictions written once.
#include "runtime/scratch.h"
#include "transformer/shape.h"
#include "vblora/transformer.h"

namespace {

const int64_t kBlock = vbl::rows_per_task(1);

// The loss of every block.
double *lay_out(vbl::Scratch &scratch, int64_t n) { return scratch.take<double>((n + kBlock - 1) / kBlock); }

}  // namespace

extern "C" int64_t vbl_squared_error_scratch_bytes(const vbl_stream *, int64_t n) {
  if (n < 0) {
    vbl::fail(VBL_INVALID_ARGUMENT, "%s: n must not be negative, found %lld", __func__, static_cast<long long>(n));
    return -1;
  }
  vbl::Scratch scratch;
  lay_out(scratch, n);
  return scratch.bytes();
}

extern "C" vbl_status vbl_squared_error(vbl_stream *stream, int32_t dtype, int64_t n, const void *predictions,
                                        const float *targets, const float *scale, double *loss_sum, void *dpredictions,
                                        void *scratch, int64_t scratch_bytes) {
  VBL_REQUIRE_CPU_DTYPE(stream, dtype);
  VBL_REQUIRE_SIZE(n, 0);
  if (n == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(predictions, targets, loss_sum);
  VBL_REQUIRE(dpredictions == nullptr || scale != nullptr,
              "vbl_squared_error: scale must not be NULL when dpredictions is not");
  VBL_TRY(vbl::check_scratch(__func__, scratch, scratch_bytes, vbl_squared_error_scratch_bytes(stream, n)));
  vbl::Scratch memory(scratch);
  double *loss = lay_out(memory, n);
  vbl::parallel_for(stream, n, kBlock, [&](int64_t begin, int64_t end) {
    const double twice = dpredictions != nullptr ? 2 * static_cast<double>(*scale) : 0;
    double total = 0;
    for (int64_t i = begin; i < end; ++i) {
      const double difference = static_cast<double>(vbl::floats(predictions)[i]) - static_cast<double>(targets[i]);
      total += difference * difference;
      if (dpredictions != nullptr) vbl::floats(dpredictions)[i] = static_cast<float>(difference * twice);
    }
    loss[begin / kBlock] = total;
  });
  double total = 0;
  for (int64_t block = 0; block * kBlock < n; ++block) total += loss[block];
  *loss_sum += total;
  return VBL_OK;
}
