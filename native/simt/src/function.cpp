// What CUDA knows of a kernel.
#include <algorithm>
#include <cstring>

#include "cuda_runtime_api.h"
#include "device.h"
#include "error.h"
#include "launch.h"
#include "shared_memory.h"

using simt::report;

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *attributes, const void *kernel) {
  if (attributes == nullptr) return report(cudaErrorInvalidValue);
  if (kernel == nullptr) return report(cudaErrorInvalidDeviceFunction);
  if (const cudaError_t error = simt::load_kernel(kernel, "cudaFuncGetAttributes")) return error;
  std::memset(attributes, 0, sizeof *attributes);
  attributes->maxThreadsPerBlock = simt::kMaxThreads;
  attributes->numRegs = 32;
  attributes->ptxVersion = attributes->binaryVersion = 90;
  attributes->maxDynamicSharedSizeBytes = static_cast<int>(simt::dynamic_shared_limit(kernel));
  return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void *kernel, cudaFuncAttribute attribute, int value) {
  if (kernel == nullptr) return report(cudaErrorInvalidDeviceFunction);
  if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout) return cudaSuccess;
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return report(cudaErrorInvalidValue);
  if (value < 0 || static_cast<size_t>(value) > simt::kSharedBytesOptIn) {
    return report(cudaErrorInvalidValue, "cudaFuncSetAttribute: " + std::to_string(value) +
                                             " bytes of dynamic shared memory, but a block has at most " +
                                             std::to_string(simt::kSharedBytesOptIn));
  }
  simt::set_dynamic_shared_limit(kernel, static_cast<size_t>(value));
  return cudaSuccess;
}

cudaError_t cudaFuncSetCacheConfig(const void *kernel, cudaFuncCache) {
  return report(kernel == nullptr ? cudaErrorInvalidDeviceFunction : cudaSuccess);
}

// Threads and dynamic shared memory are what limits; registers and static shared memory are not known.
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const void *kernel, int block_size,
                                                          size_t dynamic_shared_bytes) {
  if (blocks == nullptr || block_size < 1) return report(cudaErrorInvalidValue);
  if (kernel == nullptr) return report(cudaErrorInvalidDeviceFunction);
  if (block_size > static_cast<int>(simt::kMaxThreads) || dynamic_shared_bytes > simt::dynamic_shared_limit(kernel)) {
    *blocks = 0;
    return cudaSuccess;
  }
  const int warps = (block_size + simt::kWarpSize - 1) / simt::kWarpSize;
  const size_t by_threads = simt::kThreadsPerMultiprocessor / simt::kWarpSize / warps;
  const size_t by_shared = (simt::kSharedBytesOptIn + 1024) / (dynamic_shared_bytes + 1024);
  *blocks = static_cast<int>(std::min({by_threads, by_shared, size_t{simt::kBlocksPerMultiprocessor}}));
  return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, const void *kernel, int block_size,
                                                                   size_t dynamic_shared_bytes, unsigned int) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, kernel, block_size, dynamic_shared_bytes);
}
