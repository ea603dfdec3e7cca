/* vblora C ABI: status codes, data types, conventions.
 *
 * Conventions of every header in this folder
 *  - Every op takes the stream handle first and returns vbl_status; on failure vbl_last_error() gives one sentence.
 *    Nothing throws across the boundary and nothing aborts.
 *  - Matrices are row-major and dense unless a leading dimension is given. Sizes are int64_t, in elements unless the
 *    name ends in _bytes.
 *  - All pointers are memory of the stream's device (host memory for a CPU stream) unless documented as host memory.
 *    float32 data needs 4-byte alignment only; 64-byte alignment is fastest.
 *  - The CUDA device that is current for the calling thread does not matter and stays current: a call works on the
 *    device that it concerns. VBL_CUDA_ERROR if a device cannot be used.
 *  - Ops never allocate, never synchronise and never read their output memory unless documented ("+="). Scratch memory
 *    comes in as (pointer, bytes); the matching ..._scratch_bytes function says how much or, for arguments that the op
 *    refuses, returns the op's status with a minus sign, mostly -1. Scratch may lie at any address and hold anything;
 *    ops of one stream may share a block, streams that run at the same time may not. It may be freed once the stream
 *    has done the op.
 *  - What changes between steps is read from a vbl_step in device memory (step.h).
 *  - The same input gives the same bits, on the CPU for any number of threads.
 *  - NULL, sizes, types and scratch_bytes are checked. It is not checked that a pointer is memory of the stream's
 *    device, and as much as documented: host memory in a CUDA stream can end all use of CUDA by the process.
 *  - Thread-safety: ops on different streams may run concurrently; one stream is used by one thread at a time.
 *  - Indices selected from logits are ordered by descending logit, ties by ascending index.
 */
#ifndef VBLORA_COMMON_H
#define VBLORA_COMMON_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define VBL_API __declspec(dllexport)
#else
#define VBL_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** Version of this ABI: a caller that was compiled with another number must not call anything else. */
#define VBL_ABI_VERSION 5

typedef enum vbl_status {
  VBL_OK = 0,
  VBL_INVALID_ARGUMENT = 1, /**< a null pointer, a size or a combination that the op does not take */
  VBL_OUT_OF_MEMORY = 2,    /**< memory or threads are not available */
  VBL_IO_ERROR = 3,
  VBL_UNSUPPORTED = 4, /**< valid, but not implemented for this device or data type */
  VBL_NO_DEVICE = 5,   /**< no such device; the message gives the driver's reason */
  VBL_CUDA_ERROR = 6,
  VBL_CAPACITY = 7, /**< an active list is full; nothing was changed (active_set.h) */
  VBL_INTERNAL = 8
} vbl_status;

typedef enum vbl_dtype { VBL_FLOAT32 = 0, VBL_BFLOAT16 = 1, VBL_FLOAT16 = 2 } vbl_dtype;

/** The ABI version that the library was built with. */
VBL_API int32_t vbl_abi_version(void);

/** What went wrong in the last failed call of this thread; never NULL, valid until the next call on this thread. */
VBL_API const char *vbl_last_error(void);

#ifdef __cplusplus
}
#endif
#endif
