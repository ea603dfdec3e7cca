// CUDA events, with timing.
#include "runtime/launch.cuh"

namespace vbl {
namespace cuda {

vbl_status event_create(int32_t device, void **event) {
  VBL_TRY(require_device(device));
  VBL_USE_DEVICE("vbl_event_create", device);
  cudaEvent_t created;
  VBL_TRY(status_of("vbl_event_create", cudaEventCreate(&created)));
  *event = created;
  return VBL_OK;
}

vbl_status event_destroy(int32_t device, void *event) {
  VBL_USE_DEVICE("vbl_event_destroy", device);
  return status_of("vbl_event_destroy", cudaEventDestroy(static_cast<cudaEvent_t>(event)));
}

vbl_status event_record(void *event, vbl_stream *stream) {
  VBL_USE_DEVICE("vbl_event_record", stream->device);
  return status_of("vbl_event_record", cudaEventRecord(static_cast<cudaEvent_t>(event), handle(stream)));
}

vbl_status event_synchronize(int32_t device, void *event) {
  VBL_USE_DEVICE("vbl_event_synchronize", device);
  return status_of("vbl_event_synchronize", cudaEventSynchronize(static_cast<cudaEvent_t>(event)));
}

vbl_status event_query(int32_t device, void *event, int32_t *done) {
  VBL_USE_DEVICE("vbl_event_query", device);
  const cudaError_t error = cudaEventQuery(static_cast<cudaEvent_t>(event));
  *done = error == cudaSuccess;
  if (error == cudaErrorNotReady) {
    cudaGetLastError();  // an answer, not a fault of the next launch
    return VBL_OK;
  }
  return status_of("vbl_event_query", error);
}

vbl_status event_elapsed(int32_t device, void *start, void *end, float *milliseconds) {
  VBL_USE_DEVICE("vbl_event_elapsed", device);
  return status_of("vbl_event_elapsed",
                   cudaEventElapsedTime(milliseconds, static_cast<cudaEvent_t>(start), static_cast<cudaEvent_t>(end)));
}

vbl_status stream_wait(vbl_stream *stream, void *event) {
  VBL_USE_DEVICE("vbl_stream_wait", stream->device);
  return status_of("vbl_stream_wait", cudaStreamWaitEvent(handle(stream), static_cast<cudaEvent_t>(event), 0));
}

}  // namespace cuda
}  // namespace vbl
