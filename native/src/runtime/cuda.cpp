// What is said of CUDA in a library built without it; cuda.cu says it otherwise.
#ifndef VBL_WITH_CUDA
#include "runtime/error.h"
#include "vblora/runtime.h"

extern "C" int32_t vbl_cuda_compiled(void) { return 0; }

extern "C" const char *vbl_cuda_architectures(void) { return "none"; }

extern "C" vbl_status vbl_cuda_device_count(int32_t *count) {
  VBL_REQUIRE_NOT_NULL(count);
  *count = 0;
  return vbl::fail(VBL_NO_DEVICE, "CUDA is absent: the library was built without CUDA code");
}

extern "C" vbl_status vbl_cuda_device_properties(int32_t, vbl_cuda_properties *properties) {
  VBL_REQUIRE_NOT_NULL(properties);
  int32_t count;
  return vbl_cuda_device_count(&count);
}
#endif
