// Running a launch's grid.
#pragma once
#include "simt/launch.h"

namespace simt {

// Runs all blocks; reports and returns the error of the first that fails.
cudaError_t run_grid(const Launch &launch);

// The limit for a kernel's dynamic shared memory: kSharedBytes until it is raised.
size_t dynamic_shared_limit(const void *kernel);
void set_dynamic_shared_limit(const void *kernel, size_t bytes);

}  // namespace simt
