// Kernels with a fault each, and the same without: faults <name>. What must catch each one stands in CMakeLists.txt.
// Prints the launch's error, if there is one, and exits with 1 then. CMakeLists.txt refers to lines by their comments.
#include <cuda_runtime.h>
#include <simt/simt.h>

#include <cstdio>
#include <cstring>

namespace {

constexpr int kThreads = 64;

__global__ void sound(int *data) {
  __shared__ int line[kThreads];
  SIMT_DYNAMIC_SHARED(int, dynamic);
  const unsigned t = threadIdx.x, first = blockIdx.x * kThreads;
  int sum = 0;
  for (int i = 0; i < 3; ++i) {
    line[t] = i;
    __syncthreads();
    sum += line[kThreads - 1 - t];
    __syncthreads();
  }
  dynamic[t] = sum;
  __syncwarp();
  data[first + t] = dynamic[t ^ 1];
  // The block that comes last reads what all have written.
  __threadfence();
  __syncthreads();
  if (t != 0 || atomicAdd(&data[2 * kThreads], 1) != static_cast<int>(gridDim.x) - 1) return;
  __threadfence();
  for (unsigned i = 1; i < gridDim.x * kThreads; ++i) data[0] += data[i];
}

// Out of line, so that only AddressSanitizer knows the bounds.
__attribute__((noinline)) void store(int *to) { *to = 1; }

__global__ void static_shared_bounds(int *data, int beyond) {
  __shared__ int line[kThreads];
  store(&line[0] + threadIdx.x + beyond);  // static_bounds
  __syncthreads();
  data[threadIdx.x] = line[threadIdx.x];
}

__global__ void dynamic_shared_bounds(int *data, int beyond) {
  SIMT_DYNAMIC_SHARED(int, line);
  line[threadIdx.x + static_cast<unsigned>(beyond)] = 1;  // dynamic_bounds
  __syncthreads();
  data[threadIdx.x] = line[threadIdx.x];
}

__global__ void global_bounds(int *data, int beyond) {
  data[2 * kThreads + beyond] = static_cast<int>(threadIdx.x);  // global_bounds
}

__global__ void missing_barrier(int *data) {
  __shared__ int line[kThreads];
  line[threadIdx.x] = static_cast<int>(threadIdx.x);     // barrier_write
  data[threadIdx.x] = line[kThreads - 1 - threadIdx.x];  // barrier_read
}

__global__ void missing_syncwarp(int *data) {
  __shared__ int line[kThreads];
  line[threadIdx.x] = static_cast<int>(threadIdx.x);                               // syncwarp_write
  data[threadIdx.x] = line[threadIdx.x ^ 1] + __shfl_xor_sync(0xffffffffu, 1, 1);  // syncwarp_read
}

// The second barrier of a loop is missing: a thread may overwrite what another still reads.
__global__ void missing_second_barrier(int *data) {
  __shared__ int line[kThreads];
  int sum = 0;
  for (int i = 0; i < 3; ++i) {
    line[threadIdx.x] = i;  // second_write
    __syncthreads();
    sum += line[kThreads - 1 - threadIdx.x];  // second_read
  }
  data[threadIdx.x] = sum;
}

__global__ void race_between_blocks(int *data) {
  if (threadIdx.x == 0) data[0] += 1;  // between_blocks
}

// Says that its data is there without a fence before.
__global__ void missing_fence(int *data) {
  if (threadIdx.x != 0) return;
  data[1 + blockIdx.x] = 1;                                      // fence_write
  if (atomicAdd(&data[0], 1) == 1) data[3] = data[1] + data[2];  // fence_read
}

// Right in the order of seed 0 only: each lane takes for granted that the one before it has run.
__global__ void order_dependent(int *data) { data[threadIdx.x] = threadIdx.x == 0 ? 1 : data[threadIdx.x - 1] + 1; }

__global__ void other_barrier(int *data) {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    data[threadIdx.x] = 1;
    __syncthreads();
  }
}

__global__ void exit_before_barrier(int *data) {
  if (threadIdx.x == 5) return;
  __syncthreads();
  data[threadIdx.x] = 1;
}

__global__ void exit_while_others_wait(int *data) {
  if (threadIdx.x == kThreads - 1) return;
  __syncthreads();
  data[threadIdx.x] = 1;
}

__global__ void lane_outside_mask(int *data) { data[threadIdx.x] = __shfl_sync(0x0000ffffu, 1, 0); }

__global__ void read_outside_mask(int *data) {
  if (threadIdx.x < 16) data[threadIdx.x] = __shfl_sync(0x0000ffffu, 1, 20);
}

__global__ void mask_of_the_absent(int *data) {
  if (threadIdx.x < 16) data[threadIdx.x] = __shfl_sync(0xffffffffu, 1, 0);
  __syncthreads();
}

__global__ void lane_that_left(int *data) {
  if (threadIdx.x == 3) return;
  data[threadIdx.x] = __shfl_sync(0xffffffffu, 1, 0);
}

__global__ void other_operation(int *data) {
  if (threadIdx.x % 2) {
    data[threadIdx.x] = __shfl_sync(0xffffffffu, 1, 0);
  } else {
    data[threadIdx.x] = __any_sync(0xffffffffu, 1);
  }
}

__global__ void too_large(int *data) { data[threadIdx.x] = 1; }

__global__ void bad_width(int *data) { data[threadIdx.x] = __shfl_sync(0xffffffffu, 1, 0, 3); }

}  // namespace

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  const auto is = [&](const char *name) { return std::strcmp(argv[1], name) == 0; };
  constexpr size_t shared = kThreads * sizeof(int);
  int *data = nullptr;
  cudaMalloc(&data, (2 * kThreads + 1) * sizeof(int));
  cudaMemset(data, 0, (2 * kThreads + 1) * sizeof(int));
#define FAULT(kernel, blocks, shared_bytes, ...) \
  if (is(#kernel)) SIMT_LAUNCH(kernel, blocks, kThreads, shared_bytes, nullptr, __VA_ARGS__)
  FAULT(sound, 2, shared, data);
  FAULT(static_shared_bounds, 1, 0, data, 1);
  FAULT(dynamic_shared_bounds, 1, shared, data, 1);
  FAULT(global_bounds, 1, 0, data, 1);
  FAULT(missing_barrier, 1, 0, data);
  FAULT(missing_syncwarp, 1, 0, data);
  FAULT(missing_second_barrier, 1, 0, data);
  FAULT(race_between_blocks, 2, 0, data);
  FAULT(missing_fence, 2, 0, data);
  FAULT(other_barrier, 1, 0, data);
  FAULT(exit_before_barrier, 1, 0, data);
  FAULT(exit_while_others_wait, 1, 0, data);
  FAULT(lane_outside_mask, 1, 0, data);
  FAULT(read_outside_mask, 1, 0, data);
  FAULT(mask_of_the_absent, 1, 0, data);
  FAULT(lane_that_left, 1, 0, data);
  FAULT(other_operation, 1, 0, data);
  FAULT(bad_width, 1, 0, data);
  FAULT(order_dependent, 1, 0, data);
  if (is("block_too_large")) SIMT_LAUNCH(too_large, 1, dim3(32, 33), 0, nullptr, data);
  if (is("shared_too_large")) SIMT_LAUNCH(too_large, 1, kThreads, 48 * 1024 + 1, nullptr, data);
  const cudaError_t error = cudaGetLastError();
  std::printf("%s: %s\n", cudaGetErrorName(error), error == cudaSuccess ? "" : simt_last_message());
  // The host reads and frees what the kernel, even one that failed, has written: no race of its own.
  int results[2 * kThreads + 1];
  cudaMemcpy(results, data, sizeof results, cudaMemcpyDeviceToHost);
  cudaFree(data);
  bool right = true;
  if (is("sound")) right = results[0] == 2 * kThreads * (0 + 1 + 2);
  if (is("order_dependent")) right = results[kThreads - 1] == kThreads;
  if (!right) std::printf("wrong result\n");
  return error != cudaSuccess || !right;
}
