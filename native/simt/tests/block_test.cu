// Barriers, shared memory, atomics and indices; orders that a seed determines.
#include <cuda_runtime.h>
#include <simt/simt.h>

#include <cstring>
#include <numeric>
#include <set>
#include <vector>

#include "check.h"

namespace {

template <typename T>
struct Device {
  explicit Device(size_t n) : count(n) {
    cudaMalloc(&data, n * sizeof(T));
    cudaMemset(data, 0, n * sizeof(T));
  }
  ~Device() { cudaFree(data); }
  std::vector<T> get() const {
    std::vector<T> values(count);
    cudaMemcpy(values.data(), data, count * sizeof(T), cudaMemcpyDeviceToHost);
    return values;
  }
  T *data = nullptr;
  size_t count;
};

__global__ void indices(int *hits, dim3 expected_grid) {
  const bool right = gridDim.x == expected_grid.x && gridDim.y == expected_grid.y && gridDim.z == expected_grid.z;
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  if (right) atomicAdd(&hits[block * blockDim.x * blockDim.y * blockDim.z + thread], 1);
}

// Many barriers, each of which a neighbour's value must have passed.
__global__ void rotate(int *out, int rounds) {
  __shared__ int line[128];
  SIMT_DYNAMIC_SHARED(int, other);
  const unsigned t = threadIdx.x;
  line[t] = static_cast<int>(t);
  for (int i = 0; i < rounds; ++i) {
    __syncthreads();
    other[t] = line[(t + 1) % blockDim.x];
    __syncthreads();
    line[t] = other[t];
  }
  out[blockIdx.x * blockDim.x + t] = line[t];
}

__global__ void counted_barriers(int *out) {
  const int t = static_cast<int>(threadIdx.x);
  const int count = __syncthreads_count(t % 3 == 0);
  const int any = __syncthreads_or(t == 77), none = __syncthreads_or(0);
  const int all = __syncthreads_and(t >= 0), not_all = __syncthreads_and(t != 5);
  out[t] = count == (static_cast<int>(blockDim.x) + 2) / 3 && any && !none && all && !not_all;
}

__global__ void uninitialised(unsigned *out) {
  __shared__ unsigned fixed[4];
  SIMT_DYNAMIC_SHARED(unsigned, dynamic);
  out[blockIdx.x * 2] = fixed[threadIdx.x];
  out[blockIdx.x * 2 + 1] = dynamic[threadIdx.x];
  fixed[threadIdx.x] = dynamic[threadIdx.x] = 0;
}

struct Totals {
  int add, minimum, maximum, bits;
  unsigned wrapped, exchanged;
  unsigned long long wide, swapped;
  float sum;
  double sum_wide;
};

__global__ void atomics(Totals *totals) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  atomicAdd(&totals->add, i);
  atomicMin(&totals->minimum, -i);
  atomicMax(&totals->maximum, i);
  atomicOr(&totals->bits, 1 << (i % 20));
  atomicInc(&totals->wrapped, 99u);
  atomicExch(&totals->exchanged, 5u);
  atomicAdd(&totals->wide, 1ull << 33);
  atomicAdd(&totals->sum, 0.5f);
  atomicAdd(&totals->sum_wide, 0.25);
  for (unsigned long long seen = totals->swapped;;) {
    const unsigned long long was = atomicCAS(&totals->swapped, seen, seen + 3);
    if (was == seen) break;
    seen = was;
  }
}

__global__ void order(int *next, int *ranks) {
  ranks[atomicAdd(next, 1)] = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
}

std::vector<int> order_of(uint64_t seed) {
  Device<int> next(1), ranks(6 * 64);
  simt_set_seed(seed);
  SIMT_LAUNCH(order, 6, 64, 0, nullptr, next.data, ranks.data);
  simt_set_seed(0);
  CHECK(cudaGetLastError() == cudaSuccess);
  return ranks.get();
}

}  // namespace

// To be run with SIMT_THREADS=1: only then is the order of blocks determined.
int main() {
  const dim3 grid(3, 2, 4), block(5, 3, 2);
  Device<int> hits(3 * 2 * 4 * 30);
  SIMT_LAUNCH(indices, grid, block, 0, nullptr, hits.data, grid);
  for (const int n : hits.get()) CHECK(n == 1);

  for (const uint64_t seed : {0, 1, 2}) {
    simt_set_seed(seed);
    Device<int> rotated(4 * 128);
    SIMT_LAUNCH(rotate, 4, 128, 128 * sizeof(int), nullptr, rotated.data, 50);
    CHECK(cudaGetLastError() == cudaSuccess);
    const auto line = rotated.get();
    for (size_t i = 0; i < line.size(); ++i) CHECK(line[i] == static_cast<int>((i + 50) % 128));

    Device<int> counted(160);
    SIMT_LAUNCH(counted_barriers, 1, 160, 0, nullptr, counted.data);
    CHECK(cudaGetLastError() == cudaSuccess);
    for (const int right : counted.get()) CHECK(right);

    Device<unsigned> garbage(2 * 8);
    SIMT_LAUNCH(uninitialised, 8, 1, 4 * sizeof(unsigned), nullptr, garbage.data);
    CHECK(cudaGetLastError() == cudaSuccess);
    for (const unsigned word : garbage.get()) CHECK(seed == 0 ? word == 0xffffffffu : word != 0);
  }
  simt_set_seed(0);

  Device<Totals> totals(1);
  SIMT_LAUNCH(atomics, 5, 96, 0, nullptr, totals.data);
  CHECK(cudaGetLastError() == cudaSuccess);
  const Totals t = totals.get()[0];
  CHECK(t.add == 480 * 479 / 2 && t.minimum == -479 && t.maximum == 479 && t.bits == (1 << 20) - 1);
  CHECK(t.wrapped == 480 % 100 && t.exchanged == 5 && t.wide == 480ull << 33 && t.swapped == 480 * 3);
  CHECK(t.sum == 240.0f && t.sum_wide == 120.0);

  std::vector<int> in_order(6 * 64);
  std::iota(in_order.begin(), in_order.end(), 0);
  CHECK(order_of(0) == in_order);
  std::set<std::vector<int>> orders;
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    const auto once = order_of(seed);
    CHECK(once == order_of(seed));
    CHECK(std::set<int>(once.begin(), once.end()).size() == once.size());
    orders.insert(once);
  }
  CHECK(orders.size() == 5);
  CHECK(simt_live_allocations(nullptr) == 2);  // hits and totals
  return report_checks();
}
