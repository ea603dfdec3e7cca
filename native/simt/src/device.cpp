#include "device.h"

#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstring>

#include "error.h"
#include "shared_memory.h"
#include "stream.h"

using simt::report;

// Programs compiled with CUDA 13's own headers pass these.
static_assert(sizeof(cudaDeviceProp) == 1008 && offsetof(cudaDeviceProp, multiProcessorCount) == 384 &&
              offsetof(cudaDeviceProp, sharedMemPerBlockOptin) == 672 && offsetof(cudaDeviceProp, reserved) == 784);
static_assert(sizeof(cudaFuncAttributes) == 144 && offsetof(cudaFuncAttributes, maxDynamicSharedSizeBytes) == 44);
static_assert(sizeof(cudaPointerAttributes) == 88 && offsetof(cudaPointerAttributes, hostPointer) == 16);

namespace {

size_t physical_bytes(int what) {
  const long pages = sysconf(what), page = sysconf(_SC_PAGESIZE);
  return pages > 0 && page > 0 ? static_cast<size_t>(pages) * static_cast<size_t>(page) : size_t{1} << 30;
}

cudaDeviceProp describe(int device) {
  cudaDeviceProp p;
  std::memset(&p, 0, sizeof p);
  std::snprintf(p.name, sizeof p.name, "%s", simt::kDeviceName);
  std::memcpy(p.uuid.bytes, "SIMT host device", sizeof p.uuid.bytes);
  p.uuid.bytes[15] = static_cast<char>(p.uuid.bytes[15] + device);
  p.totalGlobalMem = physical_bytes(_SC_PHYS_PAGES);
  p.sharedMemPerBlock = simt::kSharedBytes;
  p.sharedMemPerBlockOptin = simt::kSharedBytesOptIn;
  p.sharedMemPerMultiprocessor = simt::kSharedBytesOptIn + 1024;
  p.reservedSharedMemPerBlock = 1024;
  p.regsPerBlock = p.regsPerMultiprocessor = simt::kRegisters;
  p.warpSize = simt::kWarpSize;
  p.memPitch = 0x7fffffff;
  p.maxThreadsPerBlock = simt::kMaxThreads;
  p.maxThreadsDim[0] = p.maxThreadsDim[1] = simt::kMaxBlockXY;
  p.maxThreadsDim[2] = simt::kMaxBlockZ;
  p.maxGridSize[0] = simt::kMaxGridX;
  p.maxGridSize[1] = p.maxGridSize[2] = simt::kMaxGridYZ;
  p.totalConstMem = 65536;
  p.major = simt::kComputeMajor;
  p.minor = simt::kComputeMinor;
  p.textureAlignment = 512;
  p.texturePitchAlignment = 32;
  p.surfaceAlignment = 512;
  p.multiProcessorCount = simt::kMultiprocessors;
  p.canMapHostMemory = 1;
  p.concurrentKernels = 1;
  p.asyncEngineCount = 1;
  p.unifiedAddressing = 1;
  p.memoryBusWidth = 64;
  p.l2CacheSize = 1 << 20;
  p.maxThreadsPerMultiProcessor = simt::kThreadsPerMultiprocessor;
  p.maxBlocksPerMultiProcessor = simt::kBlocksPerMultiprocessor;
  p.streamPrioritiesSupported = 1;
  p.memoryPoolsSupported = 1;
  p.hostNumaId = -1;
  return p;
}

}  // namespace

cudaError_t cudaRuntimeGetVersion(int *version) {
  if (version == nullptr) return report(cudaErrorInvalidValue);
  *version = simt::kRuntimeVersion;
  return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version) { return cudaRuntimeGetVersion(version); }

cudaError_t cudaGetDeviceCount(int *count) {
  if (count == nullptr) return report(cudaErrorInvalidValue);
  if (simt::device_count() == 0) return report(cudaErrorNoDevice);
  *count = simt::device_count();
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device) {
  if (properties == nullptr) return report(cudaErrorInvalidValue);
  if (device < 0 || device >= simt::device_count()) return report(cudaErrorInvalidDevice);
  *properties = describe(device);
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device) {
  if (value == nullptr) return report(cudaErrorInvalidValue);
  if (device < 0 || device >= simt::device_count()) return report(cudaErrorInvalidDevice);
  const cudaDeviceProp p = describe(device);
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
      *value = p.maxThreadsPerBlock;
      break;
    case cudaDevAttrMaxBlockDimX:
      *value = p.maxThreadsDim[0];
      break;
    case cudaDevAttrMaxBlockDimY:
      *value = p.maxThreadsDim[1];
      break;
    case cudaDevAttrMaxBlockDimZ:
      *value = p.maxThreadsDim[2];
      break;
    case cudaDevAttrMaxGridDimX:
      *value = p.maxGridSize[0];
      break;
    case cudaDevAttrMaxGridDimY:
      *value = p.maxGridSize[1];
      break;
    case cudaDevAttrMaxGridDimZ:
      *value = p.maxGridSize[2];
      break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      *value = static_cast<int>(p.sharedMemPerBlock);
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(p.sharedMemPerBlockOptin);
      break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      *value = static_cast<int>(p.sharedMemPerMultiprocessor);
      break;
    case cudaDevAttrReservedSharedMemoryPerBlock:
      *value = static_cast<int>(p.reservedSharedMemPerBlock);
      break;
    case cudaDevAttrTotalConstantMemory:
      *value = static_cast<int>(p.totalConstMem);
      break;
    case cudaDevAttrWarpSize:
      *value = p.warpSize;
      break;
    case cudaDevAttrMaxPitch:
      *value = static_cast<int>(p.memPitch);
      break;
    case cudaDevAttrMaxRegistersPerBlock:
      *value = p.regsPerBlock;
      break;
    case cudaDevAttrMaxRegistersPerMultiprocessor:
      *value = p.regsPerMultiprocessor;
      break;
    case cudaDevAttrClockRate:
    case cudaDevAttrMemoryClockRate:
      *value = 1000000;
      break;  // kHz
    case cudaDevAttrTextureAlignment:
      *value = static_cast<int>(p.textureAlignment);
      break;
    case cudaDevAttrMultiProcessorCount:
      *value = p.multiProcessorCount;
      break;
    case cudaDevAttrCanMapHostMemory:
      *value = p.canMapHostMemory;
      break;
    case cudaDevAttrConcurrentKernels:
      *value = p.concurrentKernels;
      break;
    case cudaDevAttrGlobalMemoryBusWidth:
      *value = p.memoryBusWidth;
      break;
    case cudaDevAttrL2CacheSize:
      *value = p.l2CacheSize;
      break;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      *value = p.maxThreadsPerMultiProcessor;
      break;
    case cudaDevAttrMaxBlocksPerMultiprocessor:
      *value = p.maxBlocksPerMultiProcessor;
      break;
    case cudaDevAttrAsyncEngineCount:
      *value = p.asyncEngineCount;
      break;
    case cudaDevAttrUnifiedAddressing:
      *value = p.unifiedAddressing;
      break;
    case cudaDevAttrComputeCapabilityMajor:
      *value = p.major;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = p.minor;
      break;
    case cudaDevAttrStreamPrioritiesSupported:
      *value = p.streamPrioritiesSupported;
      break;
    case cudaDevAttrMemoryPoolsSupported:
      *value = p.memoryPoolsSupported;
      break;
    case cudaDevAttrKernelExecTimeout:
    case cudaDevAttrIntegrated:
    case cudaDevAttrComputeMode:
    case cudaDevAttrEccEnabled:
    case cudaDevAttrPciBusId:
    case cudaDevAttrPciDeviceId:
    case cudaDevAttrPciDomainId:
    case cudaDevAttrManagedMemory:
    case cudaDevAttrPageableMemoryAccess:
    case cudaDevAttrConcurrentManagedAccess:
    case cudaDevAttrCooperativeLaunch:
    case cudaDevAttrHostRegisterSupported:
    case cudaDevAttrClusterLaunch:
      *value = 0;
      break;
    default:
      return report(cudaErrorInvalidValue);
  }
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize(void) { return simt::check_not_capturing("cudaDeviceSynchronize"); }

cudaError_t cudaDeviceReset(void) { return simt::check_not_capturing("cudaDeviceReset"); }

cudaError_t cudaSetDeviceFlags(unsigned int) { return cudaSuccess; }

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest) {
  if (least != nullptr) *least = 0;
  if (greatest != nullptr) *greatest = -5;
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes) {
  if (free_bytes == nullptr || total_bytes == nullptr) return report(cudaErrorInvalidValue);
  *free_bytes = physical_bytes(_SC_AVPHYS_PAGES);
  *total_bytes = physical_bytes(_SC_PHYS_PAGES);
  return cudaSuccess;
}
