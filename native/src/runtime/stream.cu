// CUDA streams.
#include "runtime/launch.cuh"

namespace vbl {
namespace cuda {

vbl_status stream_create(int32_t device, void **cuda) {
  VBL_USE_DEVICE("vbl_stream_create", device);
  cudaStream_t stream;
  // Does not wait for the default stream: callers order work by events.
  VBL_TRY(status_of("vbl_stream_create", cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking)));
  *cuda = stream;
  return VBL_OK;
}

vbl_status stream_destroy(const vbl_stream *stream) {
  // The work of another's stream needs nothing of ours, and its owner may be capturing it, which waiting would end.
  if (!stream->owns_cuda) return VBL_OK;
  VBL_USE_DEVICE("vbl_stream_destroy", stream->device);
  const vbl_status waited = stream_synchronize(stream);
  const vbl_status destroyed = status_of("vbl_stream_destroy", cudaStreamDestroy(handle(stream)));
  return waited != VBL_OK ? waited : destroyed;
}

vbl_status stream_synchronize(const vbl_stream *stream) {
  VBL_USE_DEVICE("vbl_stream_synchronize", stream->device);
  return status_of("vbl_stream_synchronize", cudaStreamSynchronize(handle(stream)));
}

}  // namespace cuda
}  // namespace vbl
