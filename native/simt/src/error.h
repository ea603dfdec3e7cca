// The last error of a host thread.
#pragma once
#include <string>

#include "cuda_runtime_api.h"

namespace simt {

// Keeps an error for cudaGetLastError and returns it; success is passed through. A message is also printed.
cudaError_t report(cudaError_t error, const std::string &message = {});

}  // namespace simt
