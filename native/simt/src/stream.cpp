#include "stream.h"

#include <string>

#include "current_device.h"
#include "error.h"
#include "handles.h"

namespace simt {
namespace {

Handles<CUstream_st> &streams() {
  static auto *const handles = new Handles<CUstream_st>;
  return *handles;
}

thread_local cudaStreamCaptureMode t_capture_mode = cudaStreamCaptureModeGlobal;

bool any_blocking_capture() {
  bool found = false;
  streams().for_each([&](const CUstream_st &stream) {
    if (stream.capture != nullptr && !(stream.flags & cudaStreamNonBlocking)) found = true;
  });
  return found;
}

}  // namespace

std::mutex &streams_mutex() {
  static auto *const mutex = new std::mutex;
  return *mutex;
}

CUstream_st *find_stream(cudaStream_t handle) {
  static CUstream_st default_stream;
  if (handle == nullptr || handle == cudaStreamLegacy || handle == cudaStreamPerThread) return &default_stream;
  return streams().has(handle) ? handle : nullptr;
}

int device_of(const CUstream_st *stream) { return stream == find_stream(nullptr) ? current_device() : stream->device; }

cudaError_t enqueue_work(cudaStream_t handle, Work work) {
  if (const cudaError_t error = use_current_device()) return error;
  {
    const std::lock_guard<std::mutex> lock(streams_mutex());
    CUstream_st *stream = find_stream(handle);
    if (stream == nullptr) return report(cudaErrorInvalidResourceHandle, "no such stream");
    if (stream->capture != nullptr) {
      Capture &capture = *stream->capture;
      if (!capture.valid) return report(cudaErrorStreamCaptureInvalidated);
      capture.nodes.push_back({std::move(work), stream->last});
      stream->last = {static_cast<int>(capture.nodes.size()) - 1};
      return cudaSuccess;
    }
    if ((handle == nullptr || handle == cudaStreamLegacy) && any_blocking_capture()) {
      return report(cudaErrorStreamCaptureImplicit, "work in the default stream while a blocking stream captures");
    }
  }
  return work();
}

cudaError_t check_launchable(const char *what, cudaStream_t handle) {
  if (const cudaError_t error = use_current_device()) return error;
  const std::lock_guard<std::mutex> lock(streams_mutex());
  const CUstream_st *stream = find_stream(handle);
  if (stream == nullptr || device_of(stream) == current_device()) return cudaSuccess;
  return report(cudaErrorInvalidResourceHandle, std::string(what) + ": the stream is of device " +
                                                    std::to_string(stream->device) + ", but " +
                                                    std::to_string(current_device()) + " is current");
}

cudaError_t check_not_capturing(const char *function) {
  if (const cudaError_t error = use_current_device()) return error;
  const std::lock_guard<std::mutex> lock(streams_mutex());
  bool refused = false;
  streams().for_each([&](CUstream_st &stream) {
    if (stream.capture == nullptr) return;
    Capture &capture = *stream.capture;
    const cudaStreamCaptureMode mine = t_capture_mode;
    if (capture.mode == cudaStreamCaptureModeRelaxed || mine == cudaStreamCaptureModeRelaxed) return;
    const bool global = capture.mode == cudaStreamCaptureModeGlobal && mine == cudaStreamCaptureModeGlobal;
    if (!global && capture.thread != std::this_thread::get_id()) return;
    capture.valid = false;
    refused = true;
  });
  if (!refused) return cudaSuccess;
  return report(cudaErrorStreamCaptureUnsupported, std::string(function) + " while a stream captures");
}

cudaError_t check_stream_not_capturing(const char *function, cudaStream_t handle) {
  if (const cudaError_t error = use_current_device()) return error;
  const std::lock_guard<std::mutex> lock(streams_mutex());
  CUstream_st *stream = find_stream(handle);
  if (stream == nullptr) return report(cudaErrorInvalidResourceHandle, std::string(function) + ": no such stream");
  if (stream->capture == nullptr) return cudaSuccess;
  stream->capture->valid = false;
  return report(cudaErrorStreamCaptureUnsupported, std::string(function) + " on a capturing stream");
}

}  // namespace simt

using simt::report;

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned int flags, int priority) {
  if (stream == nullptr || (flags & ~unsigned{cudaStreamNonBlocking})) return report(cudaErrorInvalidValue);
  if (const cudaError_t error = simt::use_current_device()) return error;
  const std::lock_guard<std::mutex> lock(simt::streams_mutex());
  *stream = simt::streams().add();
  (*stream)->device = simt::current_device();
  (*stream)->flags = flags;
  (*stream)->priority = priority > 0 ? 0 : priority < -5 ? -5 : priority;
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned int flags) {
  return cudaStreamCreateWithPriority(stream, flags, 0);
}

cudaError_t cudaStreamCreate(cudaStream_t *stream) { return cudaStreamCreateWithFlags(stream, cudaStreamDefault); }

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  if (const cudaError_t error = simt::use_current_device()) return error;
  const std::lock_guard<std::mutex> lock(simt::streams_mutex());
  if (!simt::streams().has(stream)) return report(cudaErrorInvalidResourceHandle, "cudaStreamDestroy: no such stream");
  if (auto capture = stream->capture) {
    capture->valid = false;
    for (CUstream_st *joined : capture->streams) {
      if (capture->origin == stream || joined == stream) joined->capture = nullptr;
    }
    auto &streams = capture->streams;
    for (size_t i = streams.size(); i-- > 0;) {
      if (streams[i] == stream) streams.erase(streams.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  simt::streams().remove(stream);
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return simt::check_stream_not_capturing("cudaStreamSynchronize", stream);
}

cudaError_t cudaStreamQuery(cudaStream_t stream) { return simt::check_stream_not_capturing("cudaStreamQuery", stream); }

namespace {

template <typename F>
cudaError_t with_stream(cudaStream_t handle, const void *result, F f) {
  if (result == nullptr) return report(cudaErrorInvalidValue);
  const std::lock_guard<std::mutex> lock(simt::streams_mutex());
  CUstream_st *stream = simt::find_stream(handle);
  if (stream == nullptr) return report(cudaErrorInvalidResourceHandle);
  return report(f(*stream));
}

}  // namespace

cudaError_t cudaStreamGetFlags(cudaStream_t handle, unsigned int *flags) {
  return with_stream(handle, flags, [=](CUstream_st &stream) { return *flags = stream.flags, cudaSuccess; });
}

cudaError_t cudaStreamGetPriority(cudaStream_t handle, int *priority) {
  return with_stream(handle, priority, [=](CUstream_st &stream) { return *priority = stream.priority, cudaSuccess; });
}

cudaError_t cudaStreamGetDevice(cudaStream_t handle, int *device) {
  return with_stream(handle, device,
                     [=](CUstream_st &stream) { return *device = simt::device_of(&stream), cudaSuccess; });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus *status) {
  return with_stream(handle, status, [=](CUstream_st &stream) {
    *status = stream.capture == nullptr ? cudaStreamCaptureStatusNone
              : stream.capture->valid   ? cudaStreamCaptureStatusActive
                                        : cudaStreamCaptureStatusInvalidated;
    return cudaSuccess;
  });
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode *mode) {
  if (mode == nullptr) return report(cudaErrorInvalidValue);
  std::swap(*mode, simt::t_capture_mode);
  return cudaSuccess;
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *user_data) {
  if (function == nullptr) return report(cudaErrorInvalidValue);
  return simt::enqueue_work(stream, [=] {
    function(user_data);
    return cudaSuccess;
  });
}
