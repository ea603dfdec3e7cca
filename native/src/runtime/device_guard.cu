// Which device is current: contexts, over the driver, which the library does not link.
#include <cuda.h>

#include <mutex>
#include <vector>

#include "runtime/launch.cuh"

namespace vbl {
namespace cuda {
namespace {

template <typename Function>
vbl_status find(const char *op, const char *name, Function **function) {
  void *found = nullptr;
  cudaDriverEntryPointQueryResult result;
#if CUDART_VERSION >= 12050
  VBL_TRY(status_of(op, cudaGetDriverEntryPointByVersion(name, &found, 12000, cudaEnableDefault, &result)));
#else
  VBL_TRY(status_of(op, cudaGetDriverEntryPoint(name, &found, cudaEnableDefault, &result)));
#endif
  if (result != cudaDriverEntryPointSuccess) return fail(VBL_CUDA_ERROR, "%s: the NVIDIA driver has no %s", op, name);
  *function = reinterpret_cast<Function *>(found);
  return VBL_OK;
}

// The driver's errors have the runtime's numbers.
cudaError_t as_runtime_error(CUresult error) { return static_cast<cudaError_t>(error); }

struct Driver {
  decltype(cuDevicePrimaryCtxRetain) *retain;
  decltype(cuCtxPushCurrent) *push;
  decltype(cuCtxPopCurrent) *pop;
};

// What the process has asked the driver for so far.
struct Contexts {
  std::mutex mutex;
  Driver driver = {};
  std::vector<CUcontext> of_device;
};

Contexts &contexts() {
  static Contexts *const all = new Contexts;  // outlives whatever is destroyed at exit
  return *all;
}

// The context in which the runtime uses a device too. It is kept open until the process ends, as the runtime keeps it.
vbl_status push(const char *op, int32_t device) {
  Contexts &all = contexts();
  const std::lock_guard<std::mutex> lock(all.mutex);
  if (all.driver.pop == nullptr) {
    VBL_TRY(find(op, "cuDevicePrimaryCtxRetain", &all.driver.retain));
    VBL_TRY(find(op, "cuCtxPushCurrent", &all.driver.push));
    VBL_TRY(find(op, "cuCtxPopCurrent", &all.driver.pop));
  }
  const size_t index = static_cast<size_t>(device);
  if (index >= all.of_device.size()) all.of_device.resize(index + 1, nullptr);
  if (all.of_device[index] == nullptr) {
    CUcontext opened = nullptr;
    VBL_TRY(status_of(op, as_runtime_error(all.driver.retain(&opened, device))));
    all.of_device[index] = opened;
  }
  return status_of(op, as_runtime_error(all.driver.push(all.of_device[index])));
}

}  // namespace

DeviceGuard::DeviceGuard(const char *op, int32_t device) {
  int current = -1;
  status_ = status_of(op, cudaGetDevice(&current));
  if (status_ != VBL_OK || current == device) return;
  status_ = guarded([&] { return push(op, device); });
  pushed_ = status_ == VBL_OK;
}

DeviceGuard::~DeviceGuard() {
  CUcontext context;
  if (pushed_) contexts().driver.pop(&context);
}

}  // namespace cuda
}  // namespace vbl
