// All kernels of the library, and how they are loaded ahead of their first launch.
#include "runtime/launch.cuh"

namespace vbl {
namespace cuda {
namespace {

// Grows while the library is loaded, and never after.
const Kernel *last = nullptr;

}  // namespace

Kernel::Kernel(const void *kernel) : code(kernel), next(last) { last = this; }

// What CUDA has to say of a kernel it can only say when that is loaded; of a loaded one it says it without waiting, within
// a microsecond or so. So nothing is remembered here, which could become wrong when somebody resets a device.
vbl_status load_kernels(const char *op) {
  for (const Kernel *kernel = last; kernel != nullptr; kernel = kernel->next) {
    cudaFuncAttributes attributes;
    VBL_TRY(status_of(op, cudaFuncGetAttributes(&attributes, kernel->code)));
  }
  return VBL_OK;
}

}  // namespace cuda
}  // namespace vbl
