// The update of the weights, scaling · B A, as delta and merge compute it on all devices: element (i, j) of [rows,
// columns] is
//   the sum over k of (scaling · left[k, i]) · right[k, j]
// in float64, in the order of k, without fused multiply-adds.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "runtime/host_device.h"

namespace vbl {

struct Update {
  int64_t rows, columns;  // [out, in], or [in, out] with fan_in_fan_out
  int32_t r, factor_dtype;
  float scaling;
  const void *left, *right;  // Bt [r, rows] and A [r, columns], or A and Bt with fan_in_fan_out
};

// x as a float32 that rounds to fewer bits as x itself does: cut off, with a last bit that says that something was cut
// off ("rounding to odd"; Boldo, Melquiond, IEEE Transactions on Computers 2008). Rounding to nearest would round
// twice.
VBL_HOST_DEVICE float round_to_odd(double x) {
  float rounded = static_cast<float>(x);
  const double back = rounded;
  if (back == x || x != x) return rounded;
  uint32_t bits;
  memcpy(&bits, &rounded, sizeof bits);
  if (fabs(back) > fabs(x)) --bits;  // towards zero; from infinity too
  bits |= 1;
  memcpy(&rounded, &bits, sizeof bits);
  return rounded;
}

}  // namespace vbl
