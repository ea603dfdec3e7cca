// CUDA graphs by stream capture.
#include "runtime/launch.cuh"

namespace vbl {
namespace cuda {

vbl_status graph_begin(vbl_stream *stream) {
  VBL_USE_DEVICE("vbl_graph_begin", stream->device);
  VBL_TRY(load_kernels("vbl_graph_begin"));
  return status_of("vbl_graph_begin", cudaStreamBeginCapture(handle(stream), cudaStreamCaptureModeThreadLocal));
}

vbl_status graph_end(vbl_stream *stream, void **graph) {
  VBL_USE_DEVICE("vbl_graph_end", stream->device);
  cudaGraph_t captured = nullptr;
  VBL_TRY(status_of("vbl_graph_end", cudaStreamEndCapture(handle(stream), &captured)));
  cudaGraphExec_t executable = nullptr;
  const vbl_status made = status_of("vbl_graph_end", cudaGraphInstantiate(&executable, captured, 0));
  cudaGraphDestroy(captured);
  *graph = executable;
  return made;
}

vbl_status graph_launch(vbl_stream *stream, void *graph) {
  VBL_CUDA_OP("vbl_graph_launch", stream);
  return status_of("vbl_graph_launch", cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), handle(stream)));
}

vbl_status graph_destroy(int32_t device, void *graph) {
  VBL_USE_DEVICE("vbl_graph_destroy", device);
  return status_of("vbl_graph_destroy", cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)));
}

}  // namespace cuda
}  // namespace vbl
