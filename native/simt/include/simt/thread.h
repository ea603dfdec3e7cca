// The running CUDA thread: who it is, where it stands, and how it reports a fault.
#pragma once
#include <cstddef>
#include <cstdint>

#include "vector_types.h"

#define SIMT_API __attribute__((visibility("default")))

namespace simt {

constexpr int kWarpSize = 32;

// A place in the source. As a default argument, Site::here() is the place of the call.
struct Site {
  static constexpr Site here(const char *file = __builtin_FILE(), int line = __builtin_LINE()) { return {file, line}; }
  const char *file;
  int line;
};

struct Current {
  uint3 thread, block;
  dim3 block_dim, grid_dim;
  void *dynamic_shared;
  int linear;  // the thread's number in its block, x fastest
};

// Of the fiber that runs on this OS thread. Initial-exec, so that a read costs no call.
extern SIMT_API __thread Current current __attribute__((tls_model("initial-exec")));

inline int lane() { return current.linear % kWarpSize; }

// Ends the launch with an error that names the kernel, the block, the thread and the site.
[[noreturn]] SIMT_API void fail(const char *what, Site site);

}  // namespace simt

#define threadIdx (static_cast<const ::uint3 &>(::simt::current.thread))
#define blockIdx (static_cast<const ::uint3 &>(::simt::current.block))
#define blockDim (static_cast<const ::dim3 &>(::simt::current.block_dim))
#define gridDim (static_cast<const ::dim3 &>(::simt::current.grid_dim))
constexpr int warpSize = ::simt::kWarpSize;
