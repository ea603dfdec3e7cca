// For stand-ins of CUDA libraries: work on a stream, and whether memory is what a caller says.
#pragma once
#include <functional>

#include "cuda_runtime_api.h"
#include "simt/thread.h"

namespace simt {

// Does the work now, or records it if the stream is capturing, to be done at each launch of the graph.
SIMT_API cudaError_t enqueue_library_work(cudaStream_t stream, std::function<void()> work);

// cudaSuccess if the bytes lie within one allocation of device or pinned memory; else the error, reported and printed
// with `what` in front.
SIMT_API cudaError_t check_device_memory(const char *what, const void *pointer, size_t bytes);

}  // namespace simt
