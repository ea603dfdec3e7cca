/* Devices, streams, memory, conversions and file reads. */
#ifndef VBLORA_RUNTIME_H
#define VBLORA_RUNTIME_H

#include "vblora/common.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Device number of the CPU; CUDA devices are numbered from 0. */
#define VBL_DEVICE_CPU (-1)
/** For vbl_malloc and vbl_free: page-locked memory of the host. Only copies between such memory and CUDA devices
 *  overlap with other work. The driver allocates it through the calling thread's current device, which it initialises
 *  if nobody has used it before. */
#define VBL_HOST_PINNED (-2)

/** An execution queue on one device. A CPU stream owns its threads and runs every op to its end before returning. A
 *  CUDA stream only queues ops: their outputs may be read after waiting for it. */
typedef struct vbl_stream vbl_stream;

/** A mark in the work of a stream. */
typedef struct vbl_event vbl_event;

/** Captured work of a CUDA stream. */
typedef struct vbl_graph vbl_graph;

/** An open file, read with pread: concurrent reads are safe, and a file that is cut short while open gives an error. */
typedef struct vbl_file vbl_file;

/** Name of the instruction set that CPU ops use: "avx512", "avx2" or "generic". The environment variable
 *  VBLORA_CPU_ISA, read once when the library is first used, can name a lower one. */
VBL_API const char *vbl_cpu_isa(void);

/** Number of CUDA devices. If there is none: VBL_NO_DEVICE, count 0 and the reason in vbl_last_error(). */
VBL_API vbl_status vbl_cuda_device_count(int32_t *count);

/** What the driver says about a CUDA device. */
typedef struct vbl_cuda_properties {
  char name[256];       /**< "NVIDIA H200" */
  int32_t major, minor; /**< compute capability */
  int32_t multiprocessors;
  int64_t memory_bytes; /**< of the device */
  int64_t l2_bytes;     /**< of its L2 cache */
} vbl_cuda_properties;

/** Asks the driver. VBL_NO_DEVICE if there is no such device; properties (host memory) are then unchanged. */
VBL_API vbl_status vbl_cuda_device_properties(int32_t device, vbl_cuda_properties *properties);

/** Whether the library was compiled with nvcc: 1 or 0. */
VBL_API int32_t vbl_cuda_compiled(void);

/** The CUDA architectures that the library has code for, as CMake names them: "80" has machine code for compute
 *  capability 8.0 and PTX, which the driver compiles for later devices when it loads it; "90-real" machine code alone.
 *  "none" without nvcc, "simt" on the SIMT host. */
VBL_API const char *vbl_cuda_architectures(void);

/** Creates a stream. device: VBL_DEVICE_CPU or a CUDA device. threads: CPU threads, the caller's included, from 1 to
 *  1024; 0 takes as many as this process may use; unused on CUDA. Results do not depend on it. VBL_OUT_OF_MEMORY if not
 *  all of them can be started. A CUDA stream does not wait for the device's default stream. */
VBL_API vbl_status vbl_stream_create(int32_t device, int32_t threads, vbl_stream **stream);
/** A stream over somebody else's cudaStream_t (NULL: the device's default stream), which must outlive it. */
VBL_API vbl_status vbl_stream_wrap(int32_t device, void *cuda_stream, vbl_stream **stream);
/** Waits for the stream's work and frees the stream. A wrapped cudaStream_t and its work are left alone: the owner may
 *  be capturing it. NULL is accepted. */
VBL_API vbl_status vbl_stream_destroy(vbl_stream *stream);
/** Waits for the stream's work. */
VBL_API vbl_status vbl_stream_synchronize(vbl_stream *stream);
/** The device that it was created for; VBL_DEVICE_CPU for NULL. */
VBL_API int32_t vbl_stream_device(const vbl_stream *stream);
/** The cudaStream_t of a CUDA stream; NULL for others. */
VBL_API void *vbl_stream_cuda(const vbl_stream *stream);
/** Threads of a CPU stream, the caller's included; 0 for CUDA streams and NULL. */
VBL_API int32_t vbl_stream_threads(const vbl_stream *stream);

/** Creates an event of a device. An event is used by one thread at a time. */
VBL_API vbl_status vbl_event_create(int32_t device, vbl_event **event);
/** Frees it; NULL is accepted. */
VBL_API vbl_status vbl_event_destroy(vbl_event *event);
/** Marks the end of the work that the stream, which is of the event's device, has been given so far. */
VBL_API vbl_status vbl_event_record(vbl_event *event, vbl_stream *stream);
/** Waits until the work before the mark is done. */
VBL_API vbl_status vbl_event_synchronize(vbl_event *event);
/** done = 1 if the work before the mark is done, else 0; does not wait. */
VBL_API vbl_status vbl_event_query(vbl_event *event, int32_t *done);
/** Time from one mark to the other, which are both done; on the CPU, time between the calls of vbl_event_record. */
VBL_API vbl_status vbl_event_elapsed(vbl_event *start, vbl_event *end, float *milliseconds);
/** Makes the work that the stream is given from now on wait for the mark. */
VBL_API vbl_status vbl_stream_wait(vbl_stream *stream, vbl_event *event);

/** Begins to record the CUDA stream's ops instead of running them; VBL_UNSUPPORTED on the CPU. Until vbl_graph_end,
 *  calls that wait or allocate fail, and only the thread that began may give ops to the stream. All kernels of the
 *  library are loaded to the device first, which takes time once: CUDA would load each at its first use, when it may
 *  have to wait. */
VBL_API vbl_status vbl_graph_begin(vbl_stream *stream);
/** Ends the capture and makes it ready to launch. */
VBL_API vbl_status vbl_graph_end(vbl_stream *stream, vbl_graph **graph);
/** Runs the captured ops, with the pointers that they were captured with, in any stream of the graph's device. */
VBL_API vbl_status vbl_graph_launch(vbl_stream *stream, vbl_graph *graph);
/** Frees it after its launches are done; NULL is accepted. */
VBL_API vbl_status vbl_graph_destroy(vbl_graph *graph);

/** Allocates 64-byte aligned memory of a device, or of VBL_HOST_PINNED, with undefined contents; bytes 0 gives a valid
 *  pointer. On CUDA this may wait for the device. */
VBL_API vbl_status vbl_malloc(int32_t device, int64_t bytes, void **memory);
/** Frees memory that vbl_malloc gave for this device; NULL is accepted. On CUDA this waits for the device's work. */
VBL_API vbl_status vbl_free(int32_t device, void *memory);
/** Bytes of all memory from vbl_malloc that is not yet freed, all devices together. */
VBL_API int64_t vbl_allocated_bytes(void);

/** Copies bytes between host and device memory that the stream's device reaches, in any combination; the regions must
 *  not overlap. A CUDA stream may still read or write page-locked memory of the host after the call. */
VBL_API vbl_status vbl_memcpy(vbl_stream *stream, void *destination, const void *source, int64_t bytes);
/** Waits for all work of a CUDA device, then copies bytes between its memory and the host's, in either direction or on
 *  the device, and returns when that is done: for set-up and for reading results. With VBL_DEVICE_CPU, all is host
 *  memory. */
VBL_API vbl_status vbl_memcpy_blocking(int32_t device, void *destination, const void *source, int64_t bytes);
/** Waits for all work of a CUDA device, then sets bytes of its memory to a value and returns when that is done. */
VBL_API vbl_status vbl_memset_blocking(int32_t device, void *destination, int32_t value, int64_t bytes);
/** Sets bytes of memory of the stream's device to a value. */
VBL_API vbl_status vbl_memset(vbl_stream *stream, void *destination, int32_t value, int64_t bytes);
/** destination[i] = source[i] for n elements, vbl_dtype to vbl_dtype, rounded to nearest even. The regions must not
 *  overlap. */
VBL_API vbl_status vbl_convert(vbl_stream *stream, int64_t n, const void *source, int32_t source_dtype,
                               void *destination, int32_t destination_dtype);

/** Opens a regular file for reading. path: UTF-8, host memory. */
VBL_API vbl_status vbl_file_open(const char *path, vbl_file **file);
/** Closes; NULL is accepted. */
VBL_API vbl_status vbl_file_close(vbl_file *file);
/** Its size in bytes when it was opened. */
VBL_API int64_t vbl_file_size(const vbl_file *file);
/** Reads exactly bytes at offset into host memory, or fails with VBL_IO_ERROR, also if the file is too short. */
VBL_API vbl_status vbl_file_read(vbl_file *file, int64_t offset, void *destination, int64_t bytes);

#ifdef __cplusplus
}
#endif
#endif
