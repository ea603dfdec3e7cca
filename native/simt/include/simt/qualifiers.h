// What CUDA C++'s qualifiers mean to a C++ compiler for the CPU.
#pragma once

// Marks a compilation for the SIMT host, as __CUDACC__ marks one by nvcc.
#define __SIMT__ 1

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __grid_constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) alignas(n)
#define __builtin_align__(n) alignas(n)

// A block's static shared memory. A block never leaves its OS thread, and no other block runs there meanwhile. Under
// AddressSanitizer, which puts no red zones around thread-local variables, it is an ordinary static, and blocks run one
// after another.
#if defined(__SANITIZE_ADDRESS__)
#define SIMT_SHARED_PER_PROCESS 1
#define __shared__ static
#else
#define SIMT_SHARED_PER_PROCESS 0
#define __shared__ static thread_local
#endif
