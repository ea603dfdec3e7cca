#include "memory.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "current_device.h"
#include "error.h"
#include "simt/simt.h"
#include "stream.h"

namespace simt {
namespace {

constexpr size_t kAlignment = 256;
constexpr int kPoison = 0xff;  // NaN and -1: fresh memory holds no zeros to rely on

struct Allocation {
  size_t bytes;
  cudaMemoryType type;
  int device;
};

std::mutex mutex;
std::map<uintptr_t, Allocation> &allocations() {
  static auto *const map = new std::map<uintptr_t, Allocation>;
  return *map;
}

// With the mutex held: the allocation that holds the address; one past its end counts if nothing else begins there.
std::map<uintptr_t, Allocation>::iterator find(const void *pointer) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(pointer);
  auto at = allocations().upper_bound(address);
  if (at == allocations().begin()) return allocations().end();
  --at;
  return address - at->first <= at->second.bytes ? at : allocations().end();
}

cudaError_t allocate(const char *function, void **pointer, size_t bytes, cudaMemoryType type) {
  if (pointer == nullptr) return report(cudaErrorInvalidValue);
  *pointer = nullptr;
  if (bytes == 0) return cudaSuccess;
  void *memory = nullptr;
  if (bytes > SIZE_MAX / 2 || posix_memalign(&memory, kAlignment, bytes) != 0) {
    return report(cudaErrorMemoryAllocation, std::string(function) + ": no " + std::to_string(bytes) + " bytes");
  }
  std::memset(memory, kPoison, bytes);
  const std::lock_guard<std::mutex> lock(mutex);
  allocations()[reinterpret_cast<uintptr_t>(memory)] = {bytes, type, current_device()};
  *pointer = memory;
  return cudaSuccess;
}

cudaError_t release(const char *function, void *pointer, cudaMemoryType type) {
  if (pointer == nullptr) return cudaSuccess;
  {
    const std::lock_guard<std::mutex> lock(mutex);
    const auto at = allocations().find(reinterpret_cast<uintptr_t>(pointer));
    if (at == allocations().end() || at->second.type != type) {
      char text[160];
      std::snprintf(text, sizeof text, "%s: %p was not allocated so, or is already freed", function, pointer);
      return report(cudaErrorInvalidValue, text);
    }
    allocations().erase(at);
  }
  std::free(pointer);
  return cudaSuccess;
}

cudaError_t check_side(const char *function, const char *role, const void *pointer, size_t bytes, bool wants_device,
                       bool wants_host) {
  const std::lock_guard<std::mutex> lock(mutex);
  const auto at = find(pointer);
  char text[256];
  if (at == allocations().end()) {
    if (!wants_device) return cudaSuccess;
    std::snprintf(text, sizeof text, "%s: the %s, %p, is not device memory", function, role, pointer);
    return report(cudaErrorInvalidValue, text);
  }
  const Allocation &allocation = at->second;
  const size_t offset = reinterpret_cast<uintptr_t>(pointer) - at->first;
  if (wants_host && allocation.type == cudaMemoryTypeDevice && offset < allocation.bytes) {
    std::snprintf(text, sizeof text, "%s: the %s, %p, is device memory", function, role, pointer);
    return report(cudaErrorInvalidValue, text);
  }
  if (bytes > allocation.bytes - offset && (wants_device || offset < allocation.bytes)) {
    std::snprintf(text, sizeof text, "%s: %zu bytes at offset %zu of the %s, which has %zu bytes", function, bytes,
                  offset, role, allocation.bytes);
    return report(cudaErrorInvalidValue, text);
  }
  return cudaSuccess;
}

// Listed at the end of the process, if wanted.
struct LeakReport {
  ~LeakReport() {
    const char *wanted = std::getenv("SIMT_LEAKS");
    if (wanted == nullptr || std::strcmp(wanted, "1") != 0) return;
    const std::lock_guard<std::mutex> lock(mutex);
    for (const auto &[address, allocation] : allocations()) {
      std::fprintf(stderr, "simt: leak: %zu bytes of %s memory at 0x%zx\n", allocation.bytes,
                   allocation.type == cudaMemoryTypeDevice ? "device" : "pinned host", static_cast<size_t>(address));
    }
  }
} leak_report;

}  // namespace

cudaError_t check_copy(const char *function, const void *to, const void *from, size_t bytes, cudaMemcpyKind kind) {
  if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDefault) return report(cudaErrorInvalidMemcpyDirection);
  if (bytes == 0) return cudaSuccess;
  if (to == nullptr || from == nullptr) return report(cudaErrorInvalidValue);
  const bool host_to = kind == cudaMemcpyHostToHost || kind == cudaMemcpyDeviceToHost;
  const bool host_from = kind == cudaMemcpyHostToHost || kind == cudaMemcpyHostToDevice;
  const bool device_to = kind == cudaMemcpyDeviceToDevice || kind == cudaMemcpyHostToDevice;
  const bool device_from = kind == cudaMemcpyDeviceToDevice || kind == cudaMemcpyDeviceToHost;
  if (cudaError_t error = check_side(function, "destination", to, bytes, device_to, host_to)) return error;
  return check_side(function, "source", from, bytes, device_from, host_from);
}

cudaError_t check_device_range(const char *function, const void *pointer, size_t bytes) {
  return bytes == 0 ? cudaSuccess : check_side(function, "memory", pointer, bytes, true, false);
}

}  // namespace simt

using simt::report;

cudaError_t cudaMalloc(void **pointer, size_t bytes) {
  if (cudaError_t error = simt::check_not_capturing("cudaMalloc")) return error;
  return simt::allocate("cudaMalloc", pointer, bytes, cudaMemoryTypeDevice);
}

cudaError_t cudaFree(void *pointer) {
  if (cudaError_t error = simt::check_not_capturing("cudaFree")) return error;
  return simt::release("cudaFree", pointer, cudaMemoryTypeDevice);
}

cudaError_t cudaMallocAsync(void **pointer, size_t bytes, cudaStream_t stream) {
  if (cudaError_t error = simt::check_stream_not_capturing("cudaMallocAsync", stream)) return error;
  return simt::allocate("cudaMallocAsync", pointer, bytes, cudaMemoryTypeDevice);
}

cudaError_t cudaFreeAsync(void *pointer, cudaStream_t stream) {
  if (cudaError_t error = simt::check_stream_not_capturing("cudaFreeAsync", stream)) return error;
  return simt::release("cudaFreeAsync", pointer, cudaMemoryTypeDevice);
}

cudaError_t cudaHostAlloc(void **pointer, size_t bytes, unsigned int) {
  if (cudaError_t error = simt::check_not_capturing("cudaHostAlloc")) return error;
  return simt::allocate("cudaHostAlloc", pointer, bytes, cudaMemoryTypeHost);
}

cudaError_t cudaMallocHost(void **pointer, size_t bytes) { return cudaHostAlloc(pointer, bytes, cudaHostAllocDefault); }

cudaError_t cudaFreeHost(void *pointer) {
  if (cudaError_t error = simt::check_not_capturing("cudaFreeHost")) return error;
  return simt::release("cudaFreeHost", pointer, cudaMemoryTypeHost);
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes *attributes, const void *pointer) {
  if (attributes == nullptr) return report(cudaErrorInvalidValue);
  std::memset(attributes, 0, sizeof *attributes);
  const std::lock_guard<std::mutex> lock(simt::mutex);
  const auto at = simt::find(pointer);
  void *const address = const_cast<void *>(pointer);
  attributes->hostPointer = address;
  if (at == simt::allocations().end() || reinterpret_cast<uintptr_t>(pointer) - at->first == at->second.bytes) {
    attributes->type = cudaMemoryTypeUnregistered;
    attributes->device = -2;  // cudaInvalidDeviceId
    return cudaSuccess;
  }
  attributes->type = at->second.type;
  attributes->device = at->second.device;
  attributes->devicePointer = address;
  if (at->second.type == cudaMemoryTypeDevice) attributes->hostPointer = nullptr;
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  if (cudaError_t error = simt::check_copy("cudaMemcpyAsync", to, from, bytes, kind)) return error;
  return simt::enqueue_work(stream, [=] {
    if (bytes > 0) std::memmove(to, from, bytes);
    return cudaSuccess;
  });
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind) {
  if (cudaError_t error = simt::check_not_capturing("cudaMemcpy")) return error;
  return cudaMemcpyAsync(to, from, bytes, kind, nullptr);
}

cudaError_t cudaMemsetAsync(void *pointer, int value, size_t bytes, cudaStream_t stream) {
  if (cudaError_t error = simt::check_device_range("cudaMemsetAsync", pointer, bytes)) return error;
  return simt::enqueue_work(stream, [=] {
    if (bytes > 0) std::memset(pointer, value, bytes);
    return cudaSuccess;
  });
}

cudaError_t cudaMemset(void *pointer, int value, size_t bytes) {
  if (cudaError_t error = simt::check_not_capturing("cudaMemset")) return error;
  return cudaMemsetAsync(pointer, value, bytes, nullptr);
}

size_t simt_live_allocations(size_t *bytes) {
  const std::lock_guard<std::mutex> lock(simt::mutex);
  if (bytes != nullptr) {
    *bytes = 0;
    for (const auto &entry : simt::allocations()) *bytes += entry.second.bytes;
  }
  return simt::allocations().size();
}
