// CUDA devices, as the driver reports them.
#include <cuda_runtime.h>

#include "runtime/error.h"
#include "vblora/runtime.h"

extern "C" int32_t vbl_cuda_compiled(void) { return 1; }

extern "C" vbl_status vbl_cuda_device_count(int32_t *count) {
  VBL_REQUIRE_POINTER(count);
  *count = 0;
  int found = 0;
  const cudaError_t error = cudaGetDeviceCount(&found);
  if (error != cudaSuccess)  // found is then left as it was
    return vbl::fail(VBL_NO_DEVICE, "CUDA is absent: %s", cudaGetErrorString(error));
  *count = found;
  if (found == 0) return vbl::fail(VBL_NO_DEVICE, "CUDA is absent: the driver reports no device");
  return VBL_OK;
}
