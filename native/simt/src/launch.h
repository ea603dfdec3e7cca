// Running a launch's grid.
#pragma once
#include <string>

#include "simt/launch.h"

namespace simt {

// Runs all blocks; reports and returns the error of the first that fails.
cudaError_t run_grid(const Launch &launch);

// Loads a kernel to the current device, if it is not there: as with CUDA, when it is first needed and not while a stream
// captures. why: who needs it. Reports and returns the error.
cudaError_t load_kernel(const void *kernel, const std::string &why);

// The limit for a kernel's dynamic shared memory: kSharedBytes until it is raised.
size_t dynamic_shared_limit(const void *kernel);
void set_dynamic_shared_limit(const void *kernel, size_t bytes);

}  // namespace simt
