#include "transformer/silu_mul.simd.h"

#include "runtime/simd_math.h"

namespace vbl {
namespace VBL_ISA {

void silu_mul_forward(int64_t n, const float *gate, const float *up, float *out) {
  const auto value = [](vfloat z, vfloat u) { return z / (1.0f + exp(-z)) * u; };
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(out + i, value(load(gate + i), load(up + i)));
  if (i < n) store(out + i, value(load(gate + i, n - i), load(up + i, n - i)), n - i);
}

// With s = 1 / (1 + exp(-z)): d silu / dz = s (1 + z (1 - s)).
void silu_mul_backward(int64_t n, const float *gate, const float *up, const float *dout, float *dgate, float *dup) {
  const auto of_gate = [](vfloat z, vfloat s, vfloat u, vfloat d) { return d * u * (s * (1.0f + z * (1.0f - s))); };
  const auto sigmoid = [](vfloat z) { return 1.0f / (1.0f + exp(-z)); };
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const vfloat z = load(gate + i), u = load(up + i), d = load(dout + i), s = sigmoid(z);
    store(dgate + i, of_gate(z, s, u, d));
    store(dup + i, d * (z * s));
  }
  if (i < n) {
    const int64_t left = n - i;
    const vfloat z = load(gate + i, left), u = load(up + i, left), d = load(dout + i, left), s = sigmoid(z);
    store(dgate + i, of_gate(z, s, u, d), left);
    store(dup + i, d * (z * s), left);
  }
}

}  // namespace VBL_ISA
}  // namespace vbl
