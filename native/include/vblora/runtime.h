/* Devices, streams, memory, conversions and file reads. */
#ifndef VBLORA_RUNTIME_H
#define VBLORA_RUNTIME_H

#include "vblora/common.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Device number of the CPU; CUDA devices are numbered from 0. */
#define VBL_DEVICE_CPU (-1)

/** An execution queue on one device. A CPU stream owns its threads and runs every op to its end before returning. */
typedef struct vbl_stream vbl_stream;

/** An open file, read with pread: safe for concurrent reads, and a file cut short while open gives an error. */
typedef struct vbl_file vbl_file;

/** Name of the instruction set that CPU ops use: "avx512", "avx2" or "generic". The environment variable
 *  VBLORA_CPU_ISA, read once when the library is first used, can name a lower one. */
VBL_API const char *vbl_cpu_isa(void);

/** Number of CUDA devices. VBL_NO_DEVICE, count 0 and the reason in vbl_last_error() where there is none. */
VBL_API vbl_status vbl_cuda_device_count(int32_t *count);

/** Whether the library was compiled with nvcc: 1 or 0. */
VBL_API int32_t vbl_cuda_compiled(void);

/** Creates a stream. device: VBL_DEVICE_CPU. threads: CPU threads, the caller's included, from 1 to 1024; 0 takes the
 *  number this process may use. Results do not depend on it. VBL_OUT_OF_MEMORY if they cannot all be started. */
VBL_API vbl_status vbl_stream_create(int32_t device, int32_t threads, vbl_stream **stream);
/** Waits for the stream's work and frees it; NULL is accepted. */
VBL_API vbl_status vbl_stream_destroy(vbl_stream *stream);
/** Waits for the stream's work. */
VBL_API vbl_status vbl_stream_synchronize(vbl_stream *stream);
/** The device it was created for; VBL_DEVICE_CPU for NULL. */
VBL_API int32_t vbl_stream_device(const vbl_stream *stream);
/** Threads of a CPU stream, the caller's included; 0 for NULL. */
VBL_API int32_t vbl_stream_threads(const vbl_stream *stream);

/** Allocates 64-byte aligned memory on a device (contents undefined); bytes 0 gives a valid pointer. */
VBL_API vbl_status vbl_malloc(int32_t device, int64_t bytes, void **memory);
/** Frees memory of vbl_malloc; NULL is accepted. */
VBL_API vbl_status vbl_free(int32_t device, void *memory);
/** Bytes of all memory from vbl_malloc that is not yet freed, all devices together. */
VBL_API int64_t vbl_allocated_bytes(void);

/** Copies bytes; the regions must not overlap. Host and device memory in any combination the stream's device reaches. */
VBL_API vbl_status vbl_memcpy(vbl_stream *stream, void *destination, const void *source, int64_t bytes);
/** Sets bytes to a value. */
VBL_API vbl_status vbl_memset(vbl_stream *stream, void *destination, int32_t value, int64_t bytes);
/** destination[i] = source[i] for n elements, vbl_dtype to vbl_dtype, round to nearest even; regions must not overlap. */
VBL_API vbl_status vbl_convert(vbl_stream *stream, int64_t n, const void *source, int32_t source_dtype,
                               void *destination, int32_t destination_dtype);

/** Opens a regular file for reading. path: UTF-8, host memory. */
VBL_API vbl_status vbl_file_open(const char *path, vbl_file **file);
/** Closes; NULL is accepted. */
VBL_API vbl_status vbl_file_close(vbl_file *file);
/** Size in bytes when it was opened. */
VBL_API int64_t vbl_file_size(const vbl_file *file);
/** Reads exactly bytes at offset into host memory, or fails with VBL_IO_ERROR (a short file included). */
VBL_API vbl_status vbl_file_read(vbl_file *file, int64_t offset, void *destination, int64_t bytes);

#ifdef __cplusplus
}
#endif
#endif
