// Events: a point in time, and in a capture a point that another stream can follow.
#include <algorithm>
#include <chrono>
#include <memory>
#include <string>

#include "cuda_runtime_api.h"
#include "current_device.h"
#include "error.h"
#include "handles.h"
#include "stream.h"

struct CUevent_st {
  int device = 0;
  unsigned flags = 0;
  bool recorded = false;
  std::chrono::steady_clock::time_point time;
  std::weak_ptr<simt::Capture> capture;  // that it was last recorded in
  bool captured = false;
  std::vector<int> last;  // the nodes that it stands after
};

namespace {

using simt::report;

simt::Handles<CUevent_st> &events() {
  static auto *const handles = new simt::Handles<CUevent_st>;
  return *handles;
}

cudaError_t no_such_event(const char *function) {
  return report(cudaErrorInvalidResourceHandle, std::string(function) + ": no such event");
}

cudaError_t check_done(const char *function, cudaEvent_t event) {
  if (const cudaError_t error = simt::use_current_device()) return error;
  const std::lock_guard<std::mutex> lock(simt::streams_mutex());
  if (!events().has(event)) return no_such_event(function);
  return report(event->captured ? cudaErrorCapturedEvent : cudaSuccess);
}

}  // namespace

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags) {
  if (event == nullptr) return report(cudaErrorInvalidValue);
  if (const cudaError_t error = simt::use_current_device()) return error;
  const std::lock_guard<std::mutex> lock(simt::streams_mutex());
  *event = events().add();
  (*event)->device = simt::current_device();
  (*event)->flags = flags;
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  if (const cudaError_t error = simt::use_current_device()) return error;
  const std::lock_guard<std::mutex> lock(simt::streams_mutex());
  return events().remove(event) ? cudaSuccess : no_such_event("cudaEventDestroy");
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  if (const cudaError_t error = simt::use_current_device()) return error;
  const std::lock_guard<std::mutex> lock(simt::streams_mutex());
  if (!events().has(event)) return no_such_event("cudaEventRecord");
  CUstream_st *stream = simt::find_stream(handle);
  if (stream == nullptr) return report(cudaErrorInvalidResourceHandle, "cudaEventRecord: no such stream");
  if (simt::device_of(stream) != event->device)
    return report(cudaErrorInvalidResourceHandle, "cudaEventRecord: the event is of another device than the stream");
  event->captured = stream->capture != nullptr;
  event->capture = stream->capture;
  event->last = stream->last;
  event->recorded = !event->captured;
  event->time = std::chrono::steady_clock::now();
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned int) {
  if (const cudaError_t error = simt::use_current_device()) return error;
  const std::lock_guard<std::mutex> lock(simt::streams_mutex());
  if (!events().has(event)) return no_such_event("cudaStreamWaitEvent");
  CUstream_st *stream = simt::find_stream(handle);
  if (stream == nullptr) return report(cudaErrorInvalidResourceHandle, "cudaStreamWaitEvent: no such stream");
  if (!event->captured) {
    if (stream->capture == nullptr || !event->recorded) return cudaSuccess;
    stream->capture->valid = false;
    return report(cudaErrorStreamCaptureIsolation, "cudaStreamWaitEvent: a capturing stream waits for work outside");
  }
  const std::shared_ptr<simt::Capture> capture = event->capture.lock();
  if (capture == nullptr) return report(cudaErrorCapturedEvent);  // that capture has ended
  if (stream == simt::find_stream(nullptr)) {
    capture->valid = false;
    return report(cudaErrorStreamCaptureImplicit, "cudaStreamWaitEvent: the default stream cannot join a capture");
  }
  if (stream->capture != nullptr && stream->capture != capture) {
    capture->valid = stream->capture->valid = false;
    return report(cudaErrorStreamCaptureMerge, "cudaStreamWaitEvent: two captures cannot be joined");
  }
  if (stream->capture == nullptr) {
    stream->capture = capture;
    stream->last.clear();
    capture->streams.push_back(stream);
  }
  for (int node : event->last) {
    if (std::find(stream->last.begin(), stream->last.end(), node) == stream->last.end()) stream->last.push_back(node);
  }
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) { return check_done("cudaEventSynchronize", event); }

cudaError_t cudaEventQuery(cudaEvent_t event) { return check_done("cudaEventQuery", event); }

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start, cudaEvent_t end) {
  if (milliseconds == nullptr) return report(cudaErrorInvalidValue);
  if (const cudaError_t error = simt::use_current_device()) return error;
  const std::lock_guard<std::mutex> lock(simt::streams_mutex());
  for (cudaEvent_t event : {start, end}) {
    if (!events().has(event)) return no_such_event("cudaEventElapsedTime");
    if (event->captured) return report(cudaErrorCapturedEvent);
    if (!event->recorded || (event->flags & cudaEventDisableTiming)) {
      return report(cudaErrorInvalidResourceHandle, "cudaEventElapsedTime: an event without a recorded time");
    }
  }
  if (start->device != end->device)
    return report(cudaErrorInvalidResourceHandle, "cudaEventElapsedTime: events of two devices");
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - start->time).count();
  return cudaSuccess;
}
