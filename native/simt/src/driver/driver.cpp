// libcuda as programs need it that ask whether there is a driver and a device. What computes goes through libcudart; on
// purpose this library does without it: where another libcudart is loaded, that one asks here.
#include <cstddef>
#include <cstdio>

#include "cuda.h"
#include "device.h"

#define SIMT_EXPORT __attribute__((visibility("default")))

extern "C" {

enum CUdevice_attribute {
  CU_DEVICE_ATTRIBUTE_WARP_SIZE = 10,
  CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16,
  CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
  CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76
};

SIMT_EXPORT CUresult cuInit(unsigned int flags) {
  if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
  return simt::device_count() == 0 ? CUDA_ERROR_NO_DEVICE : CUDA_SUCCESS;
}

SIMT_EXPORT CUresult cuDriverGetVersion(int *version) {
  if (version == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *version = simt::kRuntimeVersion;
  return CUDA_SUCCESS;
}

SIMT_EXPORT CUresult cuDeviceGetCount(int *count) {
  if (count == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *count = simt::device_count();
  return CUDA_SUCCESS;
}

SIMT_EXPORT CUresult cuDeviceGet(CUdevice *device, int ordinal) {
  if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (ordinal < 0 || ordinal >= simt::device_count()) return CUDA_ERROR_INVALID_DEVICE;
  *device = ordinal;
  return CUDA_SUCCESS;
}

SIMT_EXPORT CUresult cuDeviceGetName(char *name, int length, CUdevice device) {
  if (name == nullptr || length < 1) return CUDA_ERROR_INVALID_VALUE;
  if (device < 0 || device >= simt::device_count()) return CUDA_ERROR_INVALID_DEVICE;
  std::snprintf(name, static_cast<size_t>(length), "%s", simt::kDeviceName);
  return CUDA_SUCCESS;
}

SIMT_EXPORT CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device) {
  if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (device < 0 || device >= simt::device_count()) return CUDA_ERROR_INVALID_DEVICE;
  switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_WARP_SIZE:
      *value = 32;
      break;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
      *value = simt::kMultiprocessors;
      break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
      *value = simt::kComputeMajor;
      break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
      *value = simt::kComputeMinor;
      break;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
  return CUDA_SUCCESS;
}

// There are no contexts.
SIMT_EXPORT CUresult cuCtxGetCurrent(CUcontext *context) {
  if (context == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *context = nullptr;
  return CUDA_SUCCESS;
}

SIMT_EXPORT CUresult cuGetErrorString(CUresult error, const char **text) {
  if (text == nullptr) return CUDA_ERROR_INVALID_VALUE;
  *text = error == CUDA_SUCCESS ? "no error" : error == CUDA_ERROR_INVALID_DEVICE ? "invalid device" : "invalid value";
  return CUDA_SUCCESS;
}

}  // extern "C"
