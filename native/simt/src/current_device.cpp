#include "current_device.h"

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>

#include "cuda.h"
#include "device.h"
#include "error.h"

struct CUctx_st {
  std::atomic<bool> open{false};
};

namespace simt {
namespace {

std::array<CUctx_st, kMaxDevices> contexts;
constexpr int kDepth = 64;
thread_local struct {  // has no destructor: calls come after those of the thread, too
  CUcontext context[kDepth];
  int depth;
} t_stack;

int device_of(CUcontext context) { return static_cast<int>(context - contexts.data()); }

bool is_device(int device) { return device >= 0 && device < device_count(); }

// The device on which no context can be opened; -1 if there is none.
int unavailable_device() {
  static const int device = [] {
    const char *text = std::getenv("SIMT_UNAVAILABLE");
    return text == nullptr ? -1 : std::atoi(text);
  }();
  return device;
}

CUresult open(CUcontext *context, int device) {
  if (device_count() == 0) return CUDA_ERROR_NO_DEVICE;
  if (!is_device(device)) return CUDA_ERROR_INVALID_DEVICE;
  if (device == unavailable_device()) return CUDA_ERROR_DEVICE_UNAVAILABLE;
  *context = &contexts[static_cast<size_t>(device)];
  (*context)->open = true;
  return CUDA_SUCCESS;
}

CUcontext top() { return t_stack.depth == 0 ? nullptr : t_stack.context[t_stack.depth - 1]; }

void pop() {
  if (t_stack.depth > 0) --t_stack.depth;
}

CUresult push(CUcontext context) {
  if (context == nullptr || t_stack.depth == kDepth) return CUDA_ERROR_INVALID_CONTEXT;
  t_stack.context[t_stack.depth++] = context;
  return CUDA_SUCCESS;
}

// In place of the top one; null takes that away.
CUresult set_top(CUcontext context) {
  pop();
  return context == nullptr ? CUDA_SUCCESS : push(context);
}

cudaError_t use(int device) {
  CUcontext context = nullptr;
  // The numbers are the same.
  if (const CUresult error = open(&context, device))
    return report(static_cast<cudaError_t>(error), "device " + std::to_string(device) + " cannot be used");
  if (top() != context) set_top(context);
  return cudaSuccess;
}

}  // namespace

int current_device() { return top() == nullptr ? 0 : device_of(top()); }

cudaError_t use_current_device() { return use(current_device()); }

namespace {

CUresult get_current(CUcontext *context) {
  if (context == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *context = top();
  return CUDA_SUCCESS;
}

CUresult pop_current(CUcontext *context) {
  if (t_stack.depth == 0) return CUDA_ERROR_INVALID_CONTEXT;
  if (context != nullptr) *context = top();
  pop();
  return CUDA_SUCCESS;
}

CUresult retain(CUcontext *context, CUdevice device) {
  return context == nullptr ? CUDA_ERROR_INVALID_VALUE : open(context, device);
}

CUresult get_state(CUdevice device, unsigned int *flags, int *active) {
  if (flags == nullptr || active == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (!is_device(device)) return CUDA_ERROR_INVALID_DEVICE;
  *flags = 0;
  *active = contexts[static_cast<size_t>(device)].open;
  return CUDA_SUCCESS;
}

CUresult pointer_attribute(void *data, CUpointer_attribute attribute, unsigned long long pointer) {
  cudaPointerAttributes found;
  if (data == nullptr || attribute != CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL ||
      cudaPointerGetAttributes(&found, reinterpret_cast<const void *>(pointer)) != cudaSuccess ||
      found.type == cudaMemoryTypeUnregistered)
    return CUDA_ERROR_INVALID_VALUE;
  *static_cast<int *>(data) = found.device;
  return CUDA_SUCCESS;
}

// Each has the type of its declaration in cuda.h.
template <typename Function>
void *address_of(Function *function) {
  return reinterpret_cast<void *>(function);
}
const struct {
  const char *name;
  void *function;
} kEntries[] = {
#define SIMT_ENTRY(name, function) {#name, address_of<decltype(name)>(function)}
    SIMT_ENTRY(cuCtxGetCurrent, get_current),
    SIMT_ENTRY(cuCtxSetCurrent, set_top),
    SIMT_ENTRY(cuCtxPushCurrent, push),
    SIMT_ENTRY(cuCtxPopCurrent, pop_current),
    SIMT_ENTRY(cuDevicePrimaryCtxRetain, retain),
    SIMT_ENTRY(cuDevicePrimaryCtxGetState, get_state),
    SIMT_ENTRY(cuPointerGetAttribute, pointer_attribute),
#undef SIMT_ENTRY
};

}  // namespace
}  // namespace simt

using simt::report;

cudaError_t cudaGetDevice(int *device) {
  if (device == nullptr) return report(cudaErrorInvalidValue);
  *device = simt::current_device();
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  return simt::device_count() == 0 || simt::is_device(device) ? simt::use(device) : report(cudaErrorInvalidDevice);
}

cudaError_t cudaGetDriverEntryPointByVersion(const char *name, void **function, unsigned int, unsigned long long,
                                             cudaDriverEntryPointQueryResult *result) {
  if (name == nullptr || function == nullptr) return report(cudaErrorInvalidValue);
  *function = nullptr;
  for (const auto &entry : simt::kEntries) {
    if (std::strcmp(entry.name, name) == 0) *function = entry.function;
  }
  if (result != nullptr)
    *result = *function != nullptr ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}
