// Integer, bit and rounding functions against their definitions, bit by bit, as a thread of a kernel calls them.
#include <cuda_runtime.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "check.h"

namespace {

struct Inputs {
  unsigned a, b, shift;
  unsigned long long x, y;
  float f, g, h;
  double d, e;
};

struct Outputs {
  int popc, popcll, ffs, ffsll, clz, clzll;
  unsigned brev, umulhi, byte_perm, funnel_left, funnel_right, float_bits;
  unsigned long long brevll, umul64hi, double_bits;
  int mulhi, high, low;
  long long mul64hi;
  float back, add, subtract, multiply, divide, root, fused;
  double add_d, multiply_d, divide_d, root_d, fused_d, joined;
  int min_i, max_i;
  float min_f, max_f;
  long long max_mixed;
};

__global__ void evaluate(const Inputs *inputs, Outputs *outputs, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= n) return;
  const Inputs in = inputs[i];
  Outputs out;
  out.popc = __popc(in.a);
  out.popcll = __popcll(in.x);
  out.ffs = __ffs(static_cast<int>(in.a));
  out.ffsll = __ffsll(static_cast<long long>(in.x));
  out.clz = __clz(static_cast<int>(in.a));
  out.clzll = __clzll(static_cast<long long>(in.x));
  out.brev = __brev(in.a);
  out.brevll = __brevll(in.x);
  out.umulhi = __umulhi(in.a, in.b);
  out.mulhi = __mulhi(static_cast<int>(in.a), static_cast<int>(in.b));
  out.umul64hi = __umul64hi(in.x, in.y);
  out.mul64hi = __mul64hi(static_cast<long long>(in.x), static_cast<long long>(in.y));
  out.byte_perm = __byte_perm(in.a, in.b, in.shift);
  out.funnel_left = __funnelshift_l(in.a, in.b, in.shift);
  out.funnel_right = __funnelshift_r(in.a, in.b, in.shift);
  out.float_bits = __float_as_uint(in.f);
  out.back = __uint_as_float(in.a);
  out.double_bits = static_cast<unsigned long long>(__double_as_longlong(in.d));
  out.high = __double2hiint(in.d);
  out.low = __double2loint(in.d);
  out.joined = __hiloint2double(out.high, out.low);
  out.add = __fadd_rn(in.f, in.g);
  out.subtract = __fsub_rn(in.f, in.g);
  out.multiply = __fmul_rn(in.f, in.g);
  out.divide = __fdiv_rn(in.f, in.g);
  out.root = __fsqrt_rn(in.g);
  out.fused = __fmaf_rn(in.f, in.g, in.h);
  out.add_d = __dadd_rn(in.d, in.e);
  out.multiply_d = __dmul_rn(in.d, in.e);
  out.divide_d = __ddiv_rn(in.d, in.e);
  out.root_d = __dsqrt_rn(in.e);
  out.fused_d = __fma_rn(in.d, in.e, in.e);
  out.min_i = min(static_cast<int>(in.a), static_cast<int>(in.b));
  out.max_i = max(static_cast<int>(in.a), static_cast<int>(in.b));
  out.min_f = min(in.f, in.g);
  out.max_f = max(in.f, in.g);
  out.max_mixed = max(static_cast<int>(in.a), static_cast<long long>(in.x));
  outputs[i] = out;
}

int bit(unsigned long long x, int i) { return static_cast<int>(x >> i & 1); }

int count_bits(unsigned long long x, int bits) {
  int count = 0;
  for (int i = 0; i < bits; ++i) count += bit(x, i);
  return count;
}
int first_set(unsigned long long x, int bits) {
  for (int i = 0; i < bits; ++i) {
    if (bit(x, i)) return i + 1;
  }
  return 0;
}
int leading_zeros(unsigned long long x, int bits) {
  int count = 0;
  while (count < bits && !bit(x, bits - 1 - count)) ++count;
  return count;
}
unsigned long long reversed(unsigned long long x, int bits) {
  unsigned long long result = 0;
  for (int i = 0; i < bits; ++i) result |= static_cast<unsigned long long>(bit(x, i)) << (bits - 1 - i);
  return result;
}
// The high half of a product, by halves of the factors.
unsigned long long high_product(unsigned long long x, unsigned long long y) {
  const unsigned long long x0 = x & 0xffffffff, x1 = x >> 32, y0 = y & 0xffffffff, y1 = y >> 32;
  const unsigned long long middle = x1 * y0 + (x0 * y0 >> 32), other = x0 * y1 + (middle & 0xffffffff);
  return x1 * y1 + (middle >> 32) + (other >> 32);
}
unsigned chosen_bytes(unsigned x, unsigned y, unsigned selector) {
  unsigned char bytes[8];
  std::memcpy(bytes, &x, 4);
  std::memcpy(bytes + 4, &y, 4);
  unsigned result = 0;
  for (int i = 0; i < 4; ++i) {
    const unsigned nibble = selector >> (4 * i) & 15;
    unsigned byte = bytes[nibble % 8];
    if (nibble >= 8) byte = byte >= 128 ? 255 : 0;
    result += byte << (8 * i);
  }
  return result;
}
template <typename T>
bool same_bits(T a, T b) {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

}  // namespace

int main() {
  std::mt19937_64 random(1);
  std::vector<Inputs> inputs(1000);
  const unsigned special[] = {0u, 1u, 2u, 0x7fffffffu, 0x80000000u, 0xffffffffu, 0x00010000u};
  for (size_t i = 0; i < inputs.size(); ++i) {
    Inputs &in = inputs[i];
    in.a = i < 49 ? special[i / 7] : static_cast<unsigned>(random());
    in.b = i < 49 ? special[i % 7] : static_cast<unsigned>(random());
    in.shift = static_cast<unsigned>(random());
    in.x = i < 49 ? static_cast<unsigned long long>(special[i / 7]) << 32 | special[i % 7] : random();
    in.y = random() >> random() % 64;
    std::uniform_real_distribution<double> real(-4, 4);
    in.f = static_cast<float>(real(random));
    in.g = static_cast<float>(std::fabs(real(random)) + 0.001);
    in.h = -in.f * in.g;  // so that only a fused product leaves the rounding error
    in.d = real(random);
    in.e = std::fabs(real(random)) + 0.001;
  }
  inputs[60].f = NAN;
  const int n = static_cast<int>(inputs.size());
  Inputs *device_inputs = nullptr;
  Outputs *device_outputs = nullptr;
  CHECK(cudaMalloc(&device_inputs, sizeof(Inputs) * inputs.size()) == cudaSuccess);
  CHECK(cudaMalloc(&device_outputs, sizeof(Outputs) * inputs.size()) == cudaSuccess);
  cudaMemcpy(device_inputs, inputs.data(), sizeof(Inputs) * inputs.size(), cudaMemcpyHostToDevice);
  SIMT_LAUNCH(evaluate, (n + 127) / 128, 128, 0, nullptr, device_inputs, device_outputs, n);
  CHECK(cudaGetLastError() == cudaSuccess);
  std::vector<Outputs> outputs(inputs.size());
  cudaMemcpy(outputs.data(), device_outputs, sizeof(Outputs) * outputs.size(), cudaMemcpyDeviceToHost);
  cudaFree(device_inputs);
  cudaFree(device_outputs);

  for (size_t i = 0; i < inputs.size(); ++i) {
    const Inputs &in = inputs[i];
    const Outputs &out = outputs[i];
    CHECK(out.popc == count_bits(in.a, 32));
    CHECK(out.popcll == count_bits(in.x, 64));
    CHECK(out.ffs == first_set(in.a, 32));
    CHECK(out.ffsll == first_set(in.x, 64));
    CHECK(out.clz == leading_zeros(in.a, 32));
    CHECK(out.clzll == leading_zeros(in.x, 64));
    CHECK(out.brev == reversed(in.a, 32));
    CHECK(out.brevll == reversed(in.x, 64));
    CHECK(out.umulhi == static_cast<unsigned long long>(in.a) * in.b >> 32);
    CHECK(out.mulhi == static_cast<int>(std::floor(static_cast<long double>(static_cast<int>(in.a)) *
                                                   static_cast<int>(in.b) / 4294967296.0L)));
    CHECK(out.umul64hi == high_product(in.x, in.y));
    // Of two's complements: less the other factor for each negative one.
    CHECK(static_cast<unsigned long long>(out.mul64hi) ==
          high_product(in.x, in.y) - (bit(in.x, 63) ? in.y : 0) - (bit(in.y, 63) ? in.x : 0));
    CHECK(out.byte_perm == chosen_bytes(in.a, in.b, in.shift));
    const unsigned shift = in.shift % 32;
    CHECK(out.funnel_left == (shift == 0 ? in.b : in.b << shift | in.a >> (32 - shift)));
    CHECK(out.funnel_right == (shift == 0 ? in.a : in.a >> shift | in.b << (32 - shift)));
    CHECK(std::memcmp(&out.float_bits, &in.f, 4) == 0);
    CHECK(std::memcmp(&out.back, &in.a, 4) == 0);
    CHECK(std::memcmp(&out.double_bits, &in.d, 8) == 0);
    CHECK(static_cast<unsigned>(out.high) == out.double_bits >> 32);
    CHECK(static_cast<unsigned>(out.low) == (out.double_bits & 0xffffffff));
    CHECK(same_bits(out.joined, in.d));
    // Operations on floats are exact enough in double that rounding twice equals rounding once.
    const double f = in.f, g = in.g;
    if (!std::isnan(in.f)) {
      CHECK(same_bits(out.add, static_cast<float>(f + g)));
      CHECK(same_bits(out.subtract, static_cast<float>(f - g)));
      CHECK(same_bits(out.multiply, static_cast<float>(f * g)));
      CHECK(same_bits(out.divide, static_cast<float>(f / g)));
      CHECK(same_bits(out.fused, static_cast<float>(f * g + static_cast<double>(in.h))));
      CHECK(out.min_f == (in.f < in.g ? in.f : in.g));
      CHECK(out.max_f == (in.f < in.g ? in.g : in.f));
    } else {
      CHECK(std::isnan(out.add));
      CHECK(out.min_f == in.g && out.max_f == in.g);  // the number wins over NaN
    }
    CHECK(same_bits(out.root, static_cast<float>(std::sqrt(g))));
    CHECK(same_bits(out.add_d, in.d + in.e));
    CHECK(same_bits(out.multiply_d, in.d * in.e));
    CHECK(same_bits(out.divide_d, in.d / in.e));
    CHECK(same_bits(out.root_d, std::sqrt(in.e)));
    CHECK(std::fabs(out.fused_d - (in.d * in.e + in.e)) <= 1e-15 * (1 + std::fabs(in.d * in.e) + in.e));
    const int a = static_cast<int>(in.a), b = static_cast<int>(in.b);
    CHECK(out.min_i == (a < b ? a : b));
    CHECK(out.max_i == (a < b ? b : a));
    const long long wide = static_cast<long long>(in.x), narrow = a;
    CHECK(out.max_mixed == (wide < narrow ? narrow : wide));
  }
  return report_checks();
}
