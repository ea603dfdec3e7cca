// Atomic functions: what each returns and leaves, by its definition, and that nothing is lost when blocks run at once.
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "check.h"

namespace {

template <typename T>
__global__ void apply(T (*operation)(T *, T), T *memory, const T *operands, T *returned) {
  const unsigned i = threadIdx.x;
  returned[i] = operation(&memory[i], operands[i]);
}

__global__ void compare_and_swap(unsigned long long *wide, unsigned *narrow, unsigned short *half, unsigned *returned) {
  const unsigned i = threadIdx.x, compare = i % 2 ? 0xffffu : i;  // the even ones find what they compare with
  const unsigned long long wide_compare = 1ull << 40 | compare, wide_found = 1ull << 40 | i;
  constexpr unsigned short seven = 7;
  returned[i] = atomicCAS(&wide[i], wide_compare, 7ull) == wide_found && atomicCAS(&narrow[i], compare, 7u) == i &&
                atomicCAS(&half[i], static_cast<unsigned short>(compare), seven) == i;
}

struct Totals {
  unsigned tickets, wrapped, swapped, subtracted;
  int least, greatest;
  unsigned long long wide;
  float sum;
  double sum_wide;
};

__global__ void contend(Totals *totals, unsigned *tickets) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  tickets[i] = atomicAdd(&totals->tickets, 1u);
  atomicInc(&totals->wrapped, 99u);
  atomicSub(&totals->subtracted, 1u);
  atomicMin(&totals->least, -static_cast<int>(i));
  atomicMax(&totals->greatest, static_cast<int>(i));
  atomicAdd(&totals->wide, 1ull << 33);
  atomicAdd(&totals->sum, 0.5f);
  atomicAdd(&totals->sum_wide, 0.25);
  for (unsigned seen = 0;;) {
    const unsigned was = atomicCAS(&totals->swapped, seen, seen + 3);
    if (was == seen) break;
    seen = was;
  }
}

template <typename T>
T *device_copy(const std::vector<T> &values) {
  T *data = nullptr;
  cudaMalloc(&data, values.size() * sizeof(T));
  cudaMemcpy(data, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice);
  return data;
}
template <typename T>
std::vector<T> host_copy(T *data, size_t n) {
  std::vector<T> values(n);
  cudaMemcpy(values.data(), data, n * sizeof(T), cudaMemcpyDeviceToHost);
  cudaFree(data);
  return values;
}

// Every pair of these values, against what `definition` says follows them.
template <typename T, typename F>
void check_operation(T (*operation)(T *, T), const std::vector<T> &values, F definition) {
  std::vector<T> before, operands;
  for (const T a : values) {
    for (const T b : values) {
      before.push_back(a);
      operands.push_back(b);
    }
  }
  const size_t n = before.size();
  T *memory = device_copy(before), *operand = device_copy(operands), *returned = device_copy(before);
  SIMT_LAUNCH(apply<T>, 1, static_cast<unsigned>(n), 0, nullptr, operation, memory, operand, returned);
  CHECK(cudaGetLastError() == cudaSuccess);
  const std::vector<T> after = host_copy(memory, n), old = host_copy(returned, n);
  cudaFree(operand);
  for (size_t i = 0; i < n; ++i) {
    const T expected = definition(before[i], operands[i]);
    CHECK(std::memcmp(&old[i], &before[i], sizeof(T)) == 0);
    CHECK(std::memcmp(&after[i], &expected, sizeof(T)) == 0);
  }
}

template <typename T>
std::vector<T> integers() {
  std::vector<T> values{0, 1, 2, 5, 100, static_cast<T>(-1), static_cast<T>(-2), static_cast<T>(0x1234567812345678ll)};
  values.push_back(std::numeric_limits<T>::min());
  values.push_back(std::numeric_limits<T>::max());
  return values;
}

template <typename T>
void check_order_and_bits() {
  const auto values = integers<T>();
  check_operation<T>(atomicMin, values, [](T a, T b) { return std::min(a, b); });
  check_operation<T>(atomicMax, values, [](T a, T b) { return std::max(a, b); });
  check_operation<T>(atomicAnd, values, [](T a, T b) { return static_cast<T>(a & b); });
  check_operation<T>(atomicOr, values, [](T a, T b) { return static_cast<T>(a | b); });
  check_operation<T>(atomicXor, values, [](T a, T b) { return static_cast<T>(a ^ b); });
}

template <typename T>
void check_exchange(const std::vector<T> &values) {
  check_operation<T>(atomicExch, values, [](T, T b) { return b; });
}

void check_definitions() {
  check_order_and_bits<int>();
  check_order_and_bits<unsigned>();
  check_order_and_bits<long long>();
  check_order_and_bits<unsigned long long>();
  check_exchange(integers<int>());
  check_exchange(integers<unsigned>());
  check_exchange(integers<unsigned long long>());
  check_exchange<float>({0.0f, -0.0f, 1.5f});

  const auto sum = [](int64_t a, int64_t b) { return static_cast<uint32_t>(a + b); };  // modulo 2^32
  check_operation<int>(atomicAdd, integers<int>(), [&](int a, int b) { return static_cast<int>(sum(a, b)); });
  check_operation<int>(atomicSub, integers<int>(), [&](int a, int b) { return static_cast<int>(sum(a, -int64_t{b})); });
  check_operation<unsigned>(atomicAdd, integers<unsigned>(), sum);
  check_operation<unsigned>(atomicSub, integers<unsigned>(), [&](int64_t a, int64_t b) { return sum(a, -b); });
  check_operation<unsigned long long>(atomicAdd, integers<unsigned long long>(),
                                      [](unsigned long long a, unsigned long long b) { return a + b; });
  check_operation<float>(atomicAdd, {0.0f, -0.0f, 1.5f, -1.5f, 1e30f, 1e-30f, 16777216.0f},
                         [](double a, double b) { return static_cast<float>(a + b); });
  check_operation<double>(atomicAdd, {0.0, -0.0, 1.5, -1.5, 1e300, 1e-300}, [](double a, double b) { return a + b; });

  // The CUDA C++ programming guide: ((old >= val) ? 0 : (old+1)) and (((old == 0) || (old > val)) ? val : (old-1)).
  check_operation<unsigned>(atomicInc, integers<unsigned>(),
                            [](uint64_t a, uint64_t b) { return static_cast<unsigned>((a < b) * (a + 1)); });
  check_operation<unsigned>(atomicDec, integers<unsigned>(),
                            [](uint64_t a, uint64_t b) { return static_cast<unsigned>(a != 0 && a <= b ? a - 1 : b); });
}

void check_compare_and_swap() {
  constexpr unsigned n = 64;
  std::vector<unsigned long long> wide;
  std::vector<unsigned> narrow;
  std::vector<unsigned short> half;
  for (unsigned i = 0; i < n; ++i) {
    wide.push_back(1ull << 40 | i);
    narrow.push_back(i);
    half.push_back(static_cast<unsigned short>(i));
  }
  auto *w = device_copy(wide);
  auto *u = device_copy(narrow), *returned = device_copy(narrow);
  auto *h = device_copy(half);
  SIMT_LAUNCH(compare_and_swap, 1, n, 0, nullptr, w, u, h, returned);
  CHECK(cudaGetLastError() == cudaSuccess);
  const auto wide_after = host_copy(w, n);
  const auto narrow_after = host_copy(u, n), right = host_copy(returned, n);
  const auto half_after = host_copy(h, n);
  for (unsigned i = 0; i < n; ++i) {
    CHECK(right[i] == 1);
    CHECK(wide_after[i] == (i % 2 ? wide[i] : 7) && narrow_after[i] == (i % 2 ? i : 7));
    CHECK(half_after[i] == (i % 2 ? i : 7));
  }
}

void check_contention() {
  constexpr unsigned blocks = 40, threads = 96, n = blocks * threads;
  Totals *totals = device_copy(std::vector<Totals>(1, Totals{}));
  unsigned *tickets = device_copy(std::vector<unsigned>(n, 0));
  SIMT_LAUNCH(contend, blocks, threads, 0, nullptr, totals, tickets);
  CHECK(cudaGetLastError() == cudaSuccess);
  const Totals t = host_copy(totals, 1)[0];
  CHECK(t.tickets == n && t.wrapped == n % 100 && t.swapped == 3 * n && t.subtracted == 0u - n);
  CHECK(t.least == 1 - static_cast<int>(n) && t.greatest == static_cast<int>(n) - 1);
  CHECK(t.wide == static_cast<unsigned long long>(n) << 33 && t.sum == n / 2.0f && t.sum_wide == n / 4.0);
  auto drawn = host_copy(tickets, n);
  std::sort(drawn.begin(), drawn.end());
  for (unsigned i = 0; i < n; ++i) CHECK(drawn[i] == i);
}

}  // namespace

int main() {
  check_definitions();
  check_compare_and_swap();
  check_contention();
  return report_checks();
}
