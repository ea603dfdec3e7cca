// Graphs by stream capture: the recorded work, done again at each launch in the order in which it was recorded.
#include <set>
#include <string>

#include "cuda_runtime_api.h"
#include "current_device.h"
#include "error.h"
#include "handles.h"
#include "stream.h"

struct CUgraph_st {
  std::vector<simt::Node> nodes;
};
struct CUgraphExec_st {
  std::shared_ptr<const std::vector<simt::Node>> nodes;  // so that a launch survives its destruction
};

namespace {

using simt::report;

simt::Handles<CUgraph_st> &graphs() {
  static auto *const handles = new simt::Handles<CUgraph_st>;
  return *handles;
}
simt::Handles<CUgraphExec_st> &executables() {
  static auto *const handles = new simt::Handles<CUgraphExec_st>;
  return *handles;
}

cudaError_t invalid_handle(const char *function, const char *what) {
  return report(cudaErrorInvalidResourceHandle, std::string(function) + ": no such " + what);
}

// Whether everything captured precedes what the origin would capture next.
bool joined(const simt::Capture &capture) {
  std::set<int> leaves;
  for (int i = 0; i < static_cast<int>(capture.nodes.size()); ++i) {
    leaves.insert(i);
    for (int before : capture.nodes[static_cast<size_t>(i)].after) leaves.erase(before);
  }
  for (int node : capture.origin->last) leaves.erase(node);
  return leaves.empty();
}

}  // namespace

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  if (mode < cudaStreamCaptureModeGlobal || mode > cudaStreamCaptureModeRelaxed) return report(cudaErrorInvalidValue);
  if (const cudaError_t error = simt::use_current_device()) return error;
  const std::lock_guard<std::mutex> lock(simt::streams_mutex());
  CUstream_st *stream = simt::find_stream(handle);
  if (stream == nullptr) return invalid_handle("cudaStreamBeginCapture", "stream");
  if (stream == simt::find_stream(nullptr)) {
    return report(cudaErrorStreamCaptureUnsupported, "cudaStreamBeginCapture: the default stream cannot be captured");
  }
  if (stream->capture != nullptr) {
    return report(cudaErrorIllegalState, "cudaStreamBeginCapture: the stream captures already");
  }
  auto capture = std::make_shared<simt::Capture>();
  capture->origin = stream;
  capture->mode = mode;
  capture->thread = std::this_thread::get_id();
  capture->streams.push_back(stream);
  stream->capture = std::move(capture);
  stream->last.clear();
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t *graph) {
  if (graph == nullptr) return report(cudaErrorInvalidValue);
  *graph = nullptr;
  if (const cudaError_t error = simt::use_current_device()) return error;
  const std::lock_guard<std::mutex> lock(simt::streams_mutex());
  CUstream_st *stream = simt::find_stream(handle);
  if (stream == nullptr) return invalid_handle("cudaStreamEndCapture", "stream");
  const std::shared_ptr<simt::Capture> capture = stream->capture;
  if (capture == nullptr) return report(cudaErrorIllegalState, "cudaStreamEndCapture: the stream does not capture");
  if (capture->origin != stream) {
    capture->valid = false;
    return report(cudaErrorStreamCaptureUnmatched, "cudaStreamEndCapture: another stream began this capture");
  }
  if (capture->mode != cudaStreamCaptureModeRelaxed && capture->thread != std::this_thread::get_id()) {
    return report(cudaErrorStreamCaptureWrongThread, "cudaStreamEndCapture: another thread began this capture");
  }
  const bool complete = joined(*capture);
  for (CUstream_st *member : capture->streams) member->capture = nullptr;
  if (!capture->valid) return report(cudaErrorStreamCaptureInvalidated);
  if (!complete) {
    return report(cudaErrorStreamCaptureUnjoined, "cudaStreamEndCapture: a stream that joined has not been waited for");
  }
  *graph = graphs().add();
  (*graph)->nodes = std::move(capture->nodes);
  return cudaSuccess;
}

cudaError_t cudaGraphCreate(cudaGraph_t *graph, unsigned int flags) {
  if (graph == nullptr || flags != 0) return report(cudaErrorInvalidValue);
  const std::lock_guard<std::mutex> lock(simt::streams_mutex());
  *graph = graphs().add();
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  const std::lock_guard<std::mutex> lock(simt::streams_mutex());
  return graphs().remove(graph) ? cudaSuccess : invalid_handle("cudaGraphDestroy", "graph");
}

// Counts the nodes; they have no handles here, so none are listed.
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count) {
  if (count == nullptr) return report(cudaErrorInvalidValue);
  if (nodes != nullptr) return report(cudaErrorNotSupported, "cudaGraphGetNodes: nodes are counted, not listed");
  const std::lock_guard<std::mutex> lock(simt::streams_mutex());
  if (!graphs().has(graph)) return invalid_handle("cudaGraphGetNodes", "graph");
  *count = graph->nodes.size();
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *executable, cudaGraph_t graph, unsigned long long) {
  if (executable == nullptr) return report(cudaErrorInvalidValue);
  if (const cudaError_t error = simt::use_current_device()) return error;
  const std::lock_guard<std::mutex> lock(simt::streams_mutex());
  if (!graphs().has(graph)) return invalid_handle("cudaGraphInstantiate", "graph");
  *executable = executables().add();
  (*executable)->nodes = std::make_shared<const std::vector<simt::Node>>(graph->nodes);
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *executable, cudaGraph_t graph, unsigned long long flags) {
  return cudaGraphInstantiate(executable, graph, flags);
}

cudaError_t cudaGraphUpload(cudaGraphExec_t executable, cudaStream_t) {
  if (const cudaError_t error = simt::use_current_device()) return error;
  const std::lock_guard<std::mutex> lock(simt::streams_mutex());
  return executables().has(executable) ? cudaSuccess : invalid_handle("cudaGraphUpload", "executable graph");
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  if (const cudaError_t error = simt::use_current_device()) return error;
  std::shared_ptr<const std::vector<simt::Node>> nodes;
  {
    const std::lock_guard<std::mutex> lock(simt::streams_mutex());
    if (!executables().has(executable)) return invalid_handle("cudaGraphLaunch", "executable graph");
    nodes = executable->nodes;
  }
  return simt::enqueue_work(stream, [nodes] {
    for (const simt::Node &node : *nodes) {
      if (const cudaError_t error = node.work()) return error;
    }
    return cudaSuccess;
  });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  if (const cudaError_t error = simt::use_current_device()) return error;
  const std::lock_guard<std::mutex> lock(simt::streams_mutex());
  return executables().remove(executable) ? cudaSuccess : invalid_handle("cudaGraphExecDestroy", "executable graph");
}
