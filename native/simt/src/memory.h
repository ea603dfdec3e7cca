// The memory that the runtime has given out.
#pragma once
#include <cstddef>
#include <string>

#include "cuda_runtime_api.h"

namespace simt {

// cudaSuccess, or why bytes from `pointer` on can't be used as `kind` says: past the end of its allocation, or of the
// other side. Reports.
cudaError_t check_copy(const char *function, const void *to, const void *from, size_t bytes, cudaMemcpyKind kind);
cudaError_t check_device_range(const char *function, const void *pointer, size_t bytes);

}  // namespace simt
