// What the SIMT host adds to the runtime API, for tests of CUDA code.
//
// Environment, read once:
//   SIMT_SEED     order of blocks, warps and lanes, and what uninitialised shared memory holds. 0 (default): in order,
//                 and all ones. The seed is printed with every error.
//   SIMT_THREADS  how many blocks run at once; default: one per CPU, under ThreadSanitizer one.
//   SIMT_LAUNCH_LOG  a file that gets a line "<blocks> <kernel>" for each launch.
//   SIMT_KERNEL_LIST  a file that gets, at the first launch, a line "<kernel>" for each that may be launched.
//   SIMT_DEVICES  how many devices there are, 0 to 16; default: 1.
//   SIMT_UNAVAILABLE  a device on which no context can be opened: cudaErrorDevicesUnavailable.
//   SIMT_LEAKS    if 1, device and pinned host memory still allocated at the process's end is listed on stderr.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// The text of this host thread's last error, "" if there was none; valid until its next error.
__attribute__((visibility("default"))) const char *simt_last_message(void);

// Replaces SIMT_SEED for the launches that follow, on every host thread.
__attribute__((visibility("default"))) void simt_set_seed(uint64_t seed);
__attribute__((visibility("default"))) uint64_t simt_get_seed(void);

// As if no kernel had been used yet: each is loaded anew when it is next needed, which is refused while a stream captures.
__attribute__((visibility("default"))) void simt_unload_kernels(void);

// How many allocations of device and pinned host memory are live, and their bytes (if bytes isn't null).
__attribute__((visibility("default"))) size_t simt_live_allocations(size_t *bytes);

#ifdef __cplusplus
}
#endif
