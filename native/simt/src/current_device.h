// Which device a host thread uses. As with CUDA each device has a context, which is opened by what first needs it; a
// thread has a stack of them, and the device of the top one is current: without any, device 0, whose context is opened
// when a call needs one.
#pragma once
#include "cuda_runtime_api.h"

namespace simt {

// Opens nothing.
int current_device();

// Opens the current device's context and makes it the thread's, as every call does that needs one. Reports and returns
// its error.
cudaError_t use_current_device();

}  // namespace simt
