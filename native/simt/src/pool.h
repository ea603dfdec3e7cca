// The OS threads that run blocks.
#pragma once
#include <cstdint>
#include <functional>

#include "multiprocessor.h"

namespace simt {

// How many blocks run at once.
int pool_width();

// Calls task(i, multiprocessor) for every i below n, on up to `width` OS threads, in no particular order; returns when
// all are done. Never runs a task on the calling thread: blocks overwrite their thread's __shared__ variables. Under
// ThreadSanitizer every task has a fresh OS thread and a fresh multiprocessor, so that no task happens before another.
// Tasks must not throw. One call at a time.
void run_on_pool(int64_t n, int width, const std::function<void(int64_t, Multiprocessor &)> &task);

}  // namespace simt
