// Events: marks in a stream's work, to wait for and to time by.
#include <chrono>

#include "runtime/stream.h"

struct vbl_event {
  int32_t device;
  void *cuda = nullptr;  // cudaEvent_t; a CPU event is over as soon as it is recorded
  std::chrono::steady_clock::time_point time{};
  bool recorded = false;
};

namespace {

vbl_status check_recorded(const char *op, const vbl_event *event) {
  VBL_REQUIRE_NOT_NULL_OF(op, event);
  VBL_REQUIRE(event->recorded, "%s: the event was never recorded", op);
  return VBL_OK;
}

}  // namespace

extern "C" vbl_status vbl_event_create(int32_t device, vbl_event **event) {
  return vbl::guarded([&]() -> vbl_status {
    VBL_REQUIRE_NOT_NULL(event);
    *event = nullptr;
    std::unique_ptr<vbl_event> created(new vbl_event{device});
    if (device != VBL_DEVICE_CPU) VBL_TRY(VBL_CUDA(vbl::cuda::event_create(device, &created->cuda)));
    *event = created.release();
    return VBL_OK;
  });
}

extern "C" vbl_status vbl_event_destroy(vbl_event *event) {
  const std::unique_ptr<vbl_event> owned(event);
  if (event == nullptr || event->device == VBL_DEVICE_CPU) return VBL_OK;
  return VBL_CUDA(vbl::cuda::event_destroy(event->device, event->cuda));
}

extern "C" vbl_status vbl_event_record(vbl_event *event, vbl_stream *stream) {
  VBL_REQUIRE_NOT_NULL(event, stream);
  VBL_REQUIRE(event->device == stream->device, "%s: the event is of device %d, the stream of %d", __func__,
              event->device, stream->device);
  if (event->device != VBL_DEVICE_CPU) VBL_TRY(VBL_CUDA(vbl::cuda::event_record(event->cuda, stream)));
  event->time = std::chrono::steady_clock::now();
  event->recorded = true;
  return VBL_OK;
}

extern "C" vbl_status vbl_event_synchronize(vbl_event *event) {
  VBL_TRY(check_recorded(__func__, event));
  if (event->device == VBL_DEVICE_CPU) return VBL_OK;
  return VBL_CUDA(vbl::cuda::event_synchronize(event->device, event->cuda));
}

extern "C" vbl_status vbl_event_query(vbl_event *event, int32_t *done) {
  VBL_TRY(check_recorded(__func__, event));
  VBL_REQUIRE_NOT_NULL(done);
  *done = 1;
  if (event->device == VBL_DEVICE_CPU) return VBL_OK;
  return VBL_CUDA(vbl::cuda::event_query(event->device, event->cuda, done));
}

extern "C" vbl_status vbl_event_elapsed(vbl_event *start, vbl_event *end, float *milliseconds) {
  VBL_TRY(check_recorded(__func__, start));
  VBL_TRY(check_recorded(__func__, end));
  VBL_REQUIRE_NOT_NULL(milliseconds);
  VBL_REQUIRE(start->device == end->device, "%s: start is of device %d, end of %d", __func__, start->device,
              end->device);
  if (start->device == VBL_DEVICE_CPU) {
    *milliseconds = std::chrono::duration<float, std::milli>(end->time - start->time).count();
    return VBL_OK;
  }
  return VBL_CUDA(vbl::cuda::event_elapsed(start->device, start->cuda, end->cuda, milliseconds));
}

extern "C" vbl_status vbl_stream_wait(vbl_stream *stream, vbl_event *event) {
  VBL_REQUIRE_NOT_NULL(stream);
  VBL_TRY(check_recorded(__func__, event));
  if (event->device == VBL_DEVICE_CPU) return VBL_OK;
  if (stream->device == VBL_DEVICE_CPU) return vbl_event_synchronize(event);
  return VBL_CUDA(vbl::cuda::stream_wait(stream, event->cuda));
}
