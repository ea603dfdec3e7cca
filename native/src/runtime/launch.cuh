// What every .cu includes in place of <cuda_runtime.h>: CUDA itself or its stand-in on the CPU (native/simt), and the one
// way in which kernels are launched.
//
// Rules that keep a kernel able to run on both: block sizes in whole warps, no thread returns before a barrier, explicit
// masks, trivial types in __shared__, no cooperative groups; no block waits for another.
#pragma once
#include <cuda_runtime.h>
#if __has_include(<nvtx3/nvToolsExt.h>)
#include <nvtx3/nvToolsExt.h>
#define VBL_WITH_NVTX
#endif

#include "runtime/cuda.h"
#include "runtime/error.h"
#include "runtime/stream.h"

// Launches kernel<<<grid, block, shared_bytes, stream>>>(arguments). A kernel with commas in its name stands in
// parentheses: VBL_LAUNCH((scale<float, 2>), ...). load_kernels knows it from when the library is loaded.
#define VBL_LAUNCH(kernel, grid, block, shared_bytes, stream, ...)          \
  do {                                                                      \
    ::vbl::cuda::KnownKernel<(VBL_KERNEL(kernel))>::know();                 \
    VBL_LAUNCH_NOW(kernel, grid, block, shared_bytes, stream, __VA_ARGS__); \
  } while (false)
#if defined(__SIMT__)
#define VBL_LAUNCH_NOW(kernel, grid, block, shared_bytes, stream, ...) \
  SIMT_LAUNCH(kernel, grid, block, shared_bytes, stream, __VA_ARGS__)
#else
#define VBL_LAUNCH_NOW(kernel, grid, block, shared_bytes, stream, ...) \
  VBL_KERNEL(kernel)<<<(grid), (block), (shared_bytes), (stream)>>>(__VA_ARGS__)
#endif
// A name, out of its parentheses if it has some.
#define VBL_KERNEL(kernel) VBL_KERNEL_NAME(VBL_IN_PARENTHESES kernel)
#define VBL_IN_PARENTHESES(...) VBL_IN_PARENTHESES __VA_ARGS__
#define VBL_KERNEL_NAME(...) VBL_PASTE(VBL_DROP_, __VA_ARGS__)
#define VBL_PASTE(a, ...) VBL_PASTE_NOW(a, __VA_ARGS__)
#define VBL_PASTE_NOW(a, ...) a##__VA_ARGS__
#define VBL_DROP_VBL_IN_PARENTHESES

// Before __global__: a kernel that is meant to run in a single block. The tests want all others launched in several.
#define VBL_ONE_BLOCK

namespace vbl {
namespace cuda {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = 0xFFFFFFFFu;

inline cudaStream_t handle(const vbl_stream *stream) { return static_cast<cudaStream_t>(stream->cuda); }

// Whether an address is a multiple of so many bytes, as wide loads and stores need.
inline bool aligned(const void *memory, int64_t bytes) { return reinterpret_cast<uintptr_t>(memory) % bytes == 0; }

// The status of a call of the runtime API. The runtime remembers an error, too, until it is asked: a refused call is not to
// fail the next launch.
inline vbl_status status_of(const char *op, cudaError_t error) {
  if (error == cudaSuccess) return VBL_OK;
  cudaGetLastError();
  const int number = static_cast<int>(error);
  const char *text = cudaGetErrorString(error);
  if (error == cudaErrorNoKernelImageForDevice || error == cudaErrorUnsupportedPtxVersion)
    return fail(VBL_CUDA_ERROR, "%s: CUDA error %d: %s (the library has code for CUDA architectures %s%s)", op, number,
                text, vbl_cuda_architectures(),
                error == cudaErrorUnsupportedPtxVersion
                    ? ", not the device's own, and its PTX is of a newer CUDA than the driver's: build it for this "
                      "device, or update the driver"
                    : "");
  return fail(error == cudaErrorMemoryAllocation ? VBL_OUT_OF_MEMORY : VBL_CUDA_ERROR, "%s: CUDA error %d: %s", op,
              number, text);
}

// Whether the launches of op were accepted. An error inside a kernel shows at a later call.
inline vbl_status launched(const char *op) { return status_of(op, cudaGetLastError()); }

// One of the kernels that the library launches somewhere, in the list of all of them.
struct Kernel {
  explicit Kernel(const void *code);
  const void *const code;
  const Kernel *const next;
};

template <auto kCode>
struct KnownKernel {
  static inline const Kernel entry{reinterpret_cast<const void *>(kCode)};
  static const Kernel *know() { return &entry; }  // a use that no compiler passes over, so that there is an entry
};

// Loads all kernels to the current device, but for those that are there: CUDA does that at a kernel's first launch, may wait
// for the device then, and within a capture of a stream that is not allowed.
vbl_status load_kernels(const char *op);

// Makes a device current for the length of a scope: if another one is, by putting its context on top of the thread's.
// cudaSetDevice would not do: setting the previous device again would open a context there even if the thread has that
// device by default only and never uses it, and a context takes hundreds of megabytes.
class DeviceGuard {
 public:
  DeviceGuard(const char *op, int32_t device);
  ~DeviceGuard();
  DeviceGuard(const DeviceGuard &) = delete;
  DeviceGuard &operator=(const DeviceGuard &) = delete;

  // Whether the device is current; where it is not, nothing may be done that is meant for it.
  vbl_status status() const { return status_; }

 private:
  bool pushed_ = false;
  vbl_status status_;
};

// A range that a profiler shows; costs next to nothing when none listens. None where the CUDA toolkit came without NVTX.
class Range {
 public:
#ifdef VBL_WITH_NVTX
  explicit Range(const char *name) { nvtxRangePushA(name); }
  ~Range() { nvtxRangePop(); }
#else
  explicit Range(const char *) {}
  ~Range() {}
#endif
  Range(const Range &) = delete;
  Range &operator=(const Range &) = delete;
};

}  // namespace cuda
}  // namespace vbl

// The device is current for the rest of the scope, or the function returns why it cannot be.
#define VBL_USE_DEVICE(op, device)                             \
  const ::vbl::cuda::DeviceGuard vbl_device_guard(op, device); \
  VBL_TRY(vbl_device_guard.status())

// An op on a CUDA stream begins with this: its range in profilers, and its stream's device.
#define VBL_CUDA_OP(name, stream)           \
  const ::vbl::cuda::Range vbl_range(name); \
  VBL_USE_DEVICE(name, (stream)->device)
