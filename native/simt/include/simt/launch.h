// Launching a kernel, and its dynamic shared memory: the two things CUDA has a syntax of its own for.
//
//   SIMT_LAUNCH(kernel, grid, block, shared_bytes, stream, arguments...)
//     stands for kernel<<<grid, block, shared_bytes, stream>>>(arguments...). Arguments are converted to the kernel's
//     parameter types and copied at once. The launch is done when this returns, or recorded if the stream is capturing;
//     errors are those of cudaGetLastError. A template's arguments are named: SIMT_LAUNCH((kernel<float, 2>), ...).
//   SIMT_DYNAMIC_SHARED(T, name);
//     declares T *name, the block's dynamic shared memory, exactly as large as the launch says.
#pragma once
#include <memory>
#include <tuple>
#include <utility>

#include "cuda_runtime_api.h"
#include "simt/qualifiers.h"
#include "simt/thread.h"

#define SIMT_LAUNCH(kernel, grid, block, shared_bytes, ...)                                               \
  ::simt::launch({#kernel, __FILE__, __LINE__, ::simt::KnownKernel<(kernel)>::name}, kernel, grid, block, \
                 shared_bytes, __VA_ARGS__)
#define SIMT_DYNAMIC_SHARED(T, name) T *name = static_cast<T *>(::simt::dynamic_shared())

namespace simt {

struct LaunchName {
  const char *kernel, *file;  // kernel: as the launch spells it
  int line;
  const char *instance;  // with the arguments of its template
};

// Takes down the kernel that the signature of KnownKernel<kernel>::signature has; returns its name.
SIMT_API const char *known_kernel(const char *signature);

// A kernel that the program or a library has a launch of, known from when that is loaded.
template <auto Kernel>
struct KnownKernel {
  static const char *signature() { return __PRETTY_FUNCTION__; }
  static inline const char *const name = known_kernel(signature());
};

struct Launch {
  LaunchName name;
  const void *kernel;  // its code
  dim3 grid, block;
  size_t shared_bytes;
  cudaStream_t stream;
  std::shared_ptr<const void> arguments;
  void (*call)(const void *arguments);  // runs the kernel as one thread
  bool shared_per_process;              // __shared__ is a plain static: one block at a time
};

// Errors are left for cudaGetLastError.
SIMT_API void enqueue(const Launch &launch);

template <typename... Parameters, typename... Arguments>
void launch(LaunchName name, void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
            cudaStream_t stream, Arguments &&...arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments), "a kernel takes all its arguments");
  struct Call {
    void (*kernel)(Parameters...);
    std::tuple<Parameters...> arguments;
  };
  const auto call = [](const void *data) {
    const Call &bound = *static_cast<const Call *>(data);
    std::apply(bound.kernel, bound.arguments);
  };
  const std::shared_ptr<const Call> bound(
      new Call{kernel, std::tuple<Parameters...>(std::forward<Arguments>(arguments)...)});
  enqueue({name, reinterpret_cast<const void *>(kernel), grid, block, shared_bytes, stream, bound, call,
           SIMT_SHARED_PER_PROCESS != 0});
}

inline void *dynamic_shared() { return current.dynamic_shared; }

}  // namespace simt
