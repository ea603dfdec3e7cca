// Graphs: the work of a stream, captured once and launched as a whole.
#include "runtime/stream.h"

struct vbl_graph {
  int32_t device;
  void *cuda;  // cudaGraphExec_t
};

extern "C" vbl_status vbl_graph_begin(vbl_stream *stream) {
  VBL_REQUIRE_NOT_NULL(stream);
  VBL_ON_CUDA(stream, vbl::cuda::graph_begin(stream));
  return vbl::fail(VBL_UNSUPPORTED, "%s: a CPU stream runs each op at once and has no graphs", __func__);
}

extern "C" vbl_status vbl_graph_end(vbl_stream *stream, vbl_graph **graph) {
  return vbl::guarded([&]() -> vbl_status {
    VBL_REQUIRE_NOT_NULL(stream, graph);
    *graph = nullptr;
    VBL_REQUIRE(stream->device != VBL_DEVICE_CPU, "%s: a CPU stream has no graphs", "vbl_graph_end");
    std::unique_ptr<vbl_graph> captured(new vbl_graph{stream->device, nullptr});
    VBL_TRY(VBL_CUDA(vbl::cuda::graph_end(stream, &captured->cuda)));
    *graph = captured.release();
    return VBL_OK;
  });
}

extern "C" vbl_status vbl_graph_launch(vbl_stream *stream, vbl_graph *graph) {
  VBL_REQUIRE_NOT_NULL(stream, graph);
  VBL_REQUIRE(stream->device == graph->device, "%s: the graph is of device %d, the stream of %d", __func__,
              graph->device, stream->device);
  return VBL_CUDA(vbl::cuda::graph_launch(stream, graph->cuda));
}

extern "C" vbl_status vbl_graph_destroy(vbl_graph *graph) {
  const std::unique_ptr<vbl_graph> owned(graph);
  if (graph == nullptr) return VBL_OK;
  return VBL_CUDA(vbl::cuda::graph_destroy(graph->device, graph->cuda));
}
