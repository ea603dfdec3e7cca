#include "simt/library.h"

#include <new>

#include "error.h"
#include "memory.h"
#include "stream.h"

namespace simt {

cudaError_t enqueue_library_work(cudaStream_t stream, std::function<void()> work) {
  return enqueue_work(stream, [work = std::move(work)] {
    try {
      work();
      return cudaSuccess;
    } catch (const std::bad_alloc &) {
      return report(cudaErrorMemoryAllocation, "a library's work has no memory");
    }
  });
}

cudaError_t check_device_memory(const char *what, const void *pointer, size_t bytes) {
  return check_device_range(what, pointer, bytes);
}

}  // namespace simt
