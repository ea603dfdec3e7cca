// Warp operations against CUDA's definition of which lane is read, for all widths and some masks.
#include <cuda_runtime.h>
#include <simt/simt.h>

#include <vector>

#include "check.h"

namespace {

enum Operation { kIndexed, kUp, kDown, kXor, kOperations };

// What lane reads from: the definition in the CUDA C++ programming guide.
int source(int operation, int lane, int argument, int width) {
  const int begin = lane / width * width, end = begin + width;
  int from = lane;
  if (operation == kIndexed) from = begin + ((argument % width) + width) % width;
  if (operation == kUp) from = lane - argument;
  if (operation == kDown) from = lane + argument;
  if (operation == kXor) from = lane ^ argument;
  if (operation == kUp && from < begin) from = lane;
  if ((operation == kDown || operation == kXor) && from >= end) from = lane;
  return from;
}

template <typename T>
__global__ void shuffles(T *out, int argument, int width) {
  const int thread = static_cast<int>(threadIdx.x);
  const T mine = static_cast<T>(thread + 1);
  out[0 * blockDim.x + threadIdx.x] = __shfl_sync(0xffffffffu, mine, argument, width);
  out[1 * blockDim.x + threadIdx.x] = __shfl_up_sync(0xffffffffu, mine, static_cast<unsigned>(argument), width);
  out[2 * blockDim.x + threadIdx.x] = __shfl_down_sync(0xffffffffu, mine, static_cast<unsigned>(argument), width);
  out[3 * blockDim.x + threadIdx.x] = __shfl_xor_sync(0xffffffffu, mine, argument, width);
}

template <typename T>
void check_shuffles() {
  constexpr int threads = 64;
  T *out = nullptr;
  cudaMalloc(&out, kOperations * threads * sizeof(T));
  std::vector<T> got(kOperations * threads);
  for (const int width : {1, 2, 4, 8, 16, 32}) {
    for (int argument = 0; argument < 32; ++argument) {
      SIMT_LAUNCH(shuffles<T>, 1, threads, 0, nullptr, out, argument, width);
      CHECK(cudaGetLastError() == cudaSuccess);
      cudaMemcpy(got.data(), out, got.size() * sizeof(T), cudaMemcpyDeviceToHost);
      for (int operation = 0; operation < kOperations; ++operation) {
        for (int thread = 0; thread < threads; ++thread) {
          const int from = thread / 32 * 32 + source(operation, thread % 32, argument, width);
          CHECK(got[operation * threads + thread] == static_cast<T>(from + 1));
        }
      }
    }
  }
  cudaFree(out);
}

struct Votes {
  unsigned ballot, match, match_wide, reduce_add, reduce_or, reduce_and, reduce_xor, reduce_least, reduce_greatest;
  int any, all, reduce_min, reduce_max, all_alike, none_alike;
};

// Halves of the warp with masks of their own, at the same time.
__global__ void votes(Votes *out) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const unsigned mask = lane < 12 ? 0x00000fffu : 0xfffff000u;
  Votes v;
  v.ballot = __ballot_sync(mask, lane % 3 == 0);
  v.any = __any_sync(mask, lane == 2);
  v.all = __all_sync(mask, lane < 12);
  v.match = __match_any_sync(mask, lane % 5);
  v.match_wide = __match_any_sync(mask, static_cast<long long>(lane % 3) << 40);
  int alike = 0;
  v.all_alike = __match_all_sync(mask, 7, &alike) == mask && alike;
  v.none_alike = __match_all_sync(mask, lane, &alike) == 0 && !alike;
  v.reduce_add = __reduce_add_sync(mask, static_cast<unsigned>(lane));
  v.reduce_or = __reduce_or_sync(mask, 1u << (lane % 7));
  v.reduce_and = __reduce_and_sync(mask, ~(1u << (lane % 7)));
  v.reduce_xor = __reduce_xor_sync(mask, 3u << (lane % 7));
  v.reduce_least = __reduce_min_sync(mask, 0xfffffff0u + static_cast<unsigned>(lane) % 8);
  v.reduce_greatest = __reduce_max_sync(mask, 0xfffffff0u + static_cast<unsigned>(lane) % 8);
  v.reduce_min = __reduce_min_sync(mask, -lane);
  v.reduce_max = __reduce_max_sync(mask, -lane);
  __syncwarp(mask);
  out[threadIdx.x] = v;
}

void check_votes() {
  constexpr int threads = 96;
  Votes *out = nullptr;
  cudaMalloc(&out, threads * sizeof(Votes));
  SIMT_LAUNCH(votes, 1, threads, 0, nullptr, out);
  CHECK(cudaGetLastError() == cudaSuccess);
  std::vector<Votes> got(threads);
  cudaMemcpy(got.data(), out, threads * sizeof(Votes), cudaMemcpyDeviceToHost);
  cudaFree(out);
  for (int thread = 0; thread < threads; ++thread) {
    const int lane = thread % 32, begin = lane < 12 ? 0 : 12, end = lane < 12 ? 12 : 32;
    unsigned ballot = 0, match = 0, match_wide = 0, sum = 0, bits = 0, odd = 0;
    for (int i = begin; i < end; ++i) {
      if (i % 3 == 0) ballot |= 1u << i;
      if (i % 5 == lane % 5) match |= 1u << i;
      if (i % 3 == lane % 3) match_wide |= 1u << i;
      sum += static_cast<unsigned>(i);
      bits |= 1u << (i % 7);
      odd ^= 3u << (i % 7);
    }
    const Votes &v = got[thread];
    CHECK(v.ballot == ballot && v.match == match && v.reduce_add == sum && v.reduce_or == bits);
    CHECK(v.match_wide == match_wide && v.reduce_and == ~bits && v.reduce_xor == odd);
    CHECK(v.reduce_least == 0xfffffff0u && v.reduce_greatest == 0xfffffff7u);
    CHECK(v.any == (begin == 0) && v.all == (begin == 0));
    CHECK(v.reduce_min == -(end - 1) && v.reduce_max == -begin);
    CHECK(v.all_alike && v.none_alike);
  }
}

// A different mask each time: more than there are lanes.
__global__ void many_masks(int *out) {
  const unsigned lane = threadIdx.x;
  int sum = 0;
  for (unsigned i = 0; i < 200; ++i) {
    const unsigned pattern = i * 2654435761u;
    const unsigned mask = pattern >> lane & 1 ? pattern : ~pattern;
    sum += __popc(__ballot_sync(mask, 1)) == __popc(mask);
  }
  out[lane] = sum;
}

}  // namespace

int main() {
  check_shuffles<unsigned char>();
  check_shuffles<float>();
  check_shuffles<double>();
  check_shuffles<long long>();
  for (const uint64_t seed : {0, 1, 2, 3}) {  // whatever the order of the lanes
    simt_set_seed(seed);
    check_shuffles<int>();
    check_votes();
    int *out = nullptr, got[32];
    cudaMalloc(&out, sizeof got);
    SIMT_LAUNCH(many_masks, 1, 32, 0, nullptr, out);
    CHECK(cudaGetLastError() == cudaSuccess);
    cudaMemcpy(got, out, sizeof got, cudaMemcpyDeviceToHost);
    cudaFree(out);
    for (const int sum : got) CHECK(sum == 200);
  }
  return report_checks();
}
