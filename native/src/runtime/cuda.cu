// CUDA devices, as the driver reports them.
#include <cstdio>

#include "runtime/launch.cuh"

extern "C" int32_t vbl_cuda_compiled(void) { return 1; }

extern "C" const char *vbl_cuda_architectures(void) { return VBL_CUDA_ARCHITECTURES; }

extern "C" vbl_status vbl_cuda_device_count(int32_t *count) {
  VBL_REQUIRE_NOT_NULL(count);
  *count = 0;
  int found = 0;
  const cudaError_t error = cudaGetDeviceCount(&found);
  if (error != cudaSuccess) {  // found is then left as it was
    cudaGetLastError();
    int driver = 0, built = 0;  // 1000 · major + 10 · minor; the driver's is 0 where there is none
    if (error != cudaErrorInsufficientDriver || cudaDriverGetVersion(&driver) != cudaSuccess ||
        cudaRuntimeGetVersion(&built) != cudaSuccess)
      return vbl::fail(VBL_NO_DEVICE, "CUDA is absent: %s", cudaGetErrorString(error));
    if (driver == 0) return vbl::fail(VBL_NO_DEVICE, "CUDA is absent: no NVIDIA driver was found (libcuda.so.1)");
    return vbl::fail(VBL_NO_DEVICE, "CUDA is absent: the NVIDIA driver goes up to CUDA %d.%d, the library needs %d.%d",
                     driver / 1000, driver % 1000 / 10, built / 1000, built % 1000 / 10);
  }
  *count = found;
  if (found == 0) return vbl::fail(VBL_NO_DEVICE, "CUDA is absent: the driver reports no device");
  return VBL_OK;
}

extern "C" vbl_status vbl_cuda_device_properties(int32_t device, vbl_cuda_properties *properties) {
  VBL_REQUIRE_NOT_NULL(properties);
  VBL_TRY(vbl::cuda::require_device(device));
  cudaDeviceProp found;
  VBL_TRY(vbl::cuda::status_of("vbl_cuda_device_properties", cudaGetDeviceProperties(&found, device)));
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "%s", found.name);
  properties->major = found.major;
  properties->minor = found.minor;
  properties->multiprocessors = found.multiProcessorCount;
  properties->memory_bytes = static_cast<int64_t>(found.totalGlobalMem);
  properties->l2_bytes = found.l2CacheSize;
  return VBL_OK;
}

vbl_status vbl::cuda::require_device(int32_t device) {
  int32_t count = 0;
  VBL_TRY(vbl_cuda_device_count(&count));
  if (device < 0 || device >= count)
    return fail(VBL_NO_DEVICE, "CUDA device %d does not exist: there are %d", device, count);
  return VBL_OK;
}
