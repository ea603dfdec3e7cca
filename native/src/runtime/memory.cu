// Memory of CUDA devices and page-locked memory of the host.
#include "runtime/launch.cuh"

namespace vbl {
namespace cuda {

vbl_status allocate(int32_t device, int64_t bytes, void **memory) {
  const size_t size = bytes > 0 ? static_cast<size_t>(bytes) : 1;
  if (device == VBL_HOST_PINNED) {
    VBL_TRY(require_device(0));
    return status_of("vbl_malloc", cudaMallocHost(memory, size));
  }
  VBL_TRY(require_device(device));
  VBL_USE_DEVICE("vbl_malloc", device);
  return status_of("vbl_malloc", cudaMalloc(memory, size));
}

vbl_status release(int32_t device, void *memory) {
  if (device == VBL_HOST_PINNED) return status_of("vbl_free", cudaFreeHost(memory));
  VBL_USE_DEVICE("vbl_free", device);
  return status_of("vbl_free", cudaFree(memory));
}

vbl_status copy(vbl_stream *stream, void *destination, const void *source, int64_t bytes) {
  VBL_CUDA_OP("vbl_memcpy", stream);
  return status_of("vbl_memcpy",
                   cudaMemcpyAsync(destination, source, static_cast<size_t>(bytes), cudaMemcpyDefault, handle(stream)));
}

namespace {

// Runs body, which uses the default stream, with all work of the device done before and after.
template <typename Body>
vbl_status blocking(const char *op, int32_t device, const Body &body) {
  VBL_TRY(require_device(device));
  VBL_USE_DEVICE(op, device);
  VBL_TRY(status_of(op, cudaDeviceSynchronize()));
  VBL_TRY(status_of(op, body()));
  return status_of(op, cudaDeviceSynchronize());
}

}  // namespace

vbl_status copy_blocking(int32_t device, void *destination, const void *source, int64_t bytes) {
  return blocking("vbl_memcpy_blocking", device,
                  [&] { return cudaMemcpy(destination, source, static_cast<size_t>(bytes), cudaMemcpyDefault); });
}

vbl_status fill_blocking(int32_t device, void *destination, int32_t value, int64_t bytes) {
  return blocking("vbl_memset_blocking", device,
                  [&] { return cudaMemset(destination, value, static_cast<size_t>(bytes)); });
}

vbl_status fill(vbl_stream *stream, void *destination, int32_t value, int64_t bytes) {
  VBL_CUDA_OP("vbl_memset", stream);
  return status_of("vbl_memset", cudaMemsetAsync(destination, value, static_cast<size_t>(bytes), handle(stream)));
}

}  // namespace cuda
}  // namespace vbl
