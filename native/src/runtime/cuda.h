// The CUDA side of the runtime: what stream.cpp, memory.cpp, event.cpp and graph.cpp hand over to their .cu files. Defined
// where the library is built with CUDA. Arguments have been checked.
#pragma once
#include <cstdint>

#include "vblora/runtime.h"

namespace vbl {
namespace cuda {

// VBL_NO_DEVICE, with the reason, if there is no such device.
vbl_status require_device(int32_t device);

vbl_status stream_create(int32_t device, void **cuda);
vbl_status stream_destroy(const vbl_stream *stream);
vbl_status stream_synchronize(const vbl_stream *stream);

// Memory of a device; of the host, page-locked, for VBL_HOST_PINNED.
vbl_status allocate(int32_t device, int64_t bytes, void **memory);
vbl_status release(int32_t device, void *memory);
vbl_status copy(vbl_stream *stream, void *destination, const void *source, int64_t bytes);
vbl_status copy_blocking(int32_t device, void *destination, const void *source, int64_t bytes);
vbl_status fill_blocking(int32_t device, void *destination, int32_t value, int64_t bytes);
vbl_status fill(vbl_stream *stream, void *destination, int32_t value, int64_t bytes);

vbl_status event_create(int32_t device, void **event);
vbl_status event_destroy(int32_t device, void *event);
vbl_status event_record(void *event, vbl_stream *stream);
vbl_status event_synchronize(int32_t device, void *event);
vbl_status event_query(int32_t device, void *event, int32_t *done);
vbl_status event_elapsed(int32_t device, void *start, void *end, float *milliseconds);
vbl_status stream_wait(vbl_stream *stream, void *event);

vbl_status graph_begin(vbl_stream *stream);
vbl_status graph_end(vbl_stream *stream, void **graph);
vbl_status graph_launch(vbl_stream *stream, void *graph);
vbl_status graph_destroy(int32_t device, void *graph);

}  // namespace cuda
}  // namespace vbl
