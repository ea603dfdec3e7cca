// Streams, and what their capture records. Work is done when it is enqueued: a stream outside a capture has no state.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "cuda_runtime_api.h"

namespace simt {

// A piece of work; returns its error, reported already.
using Work = std::function<cudaError_t()>;

struct Node {
  Work work;
  std::vector<int> after;  // the nodes it depends on, which precede it in its graph
};

// Begun by one stream and joined by others through events.
struct Capture {
  CUstream_st *origin;
  cudaStreamCaptureMode mode;
  std::thread::id thread;
  bool valid = true;
  std::vector<Node> nodes;
  std::vector<CUstream_st *> streams;
};

// Guards streams, events, captures and graphs; never held while work runs.
std::mutex &streams_mutex();

// With the mutex held: the stream, the default one for its special handles, or null if it isn't one.
CUstream_st *find_stream(cudaStream_t handle);
// With the mutex held: whose stream it is.
int device_of(const CUstream_st *stream);

// Does the work now, or records it if the stream is capturing. Reports and returns its error.
cudaError_t enqueue_work(cudaStream_t stream, Work work);

// Whether kernels may be launched in the stream: cudaSuccess, or the error if it is not the current device's. Reports.
cudaError_t check_launchable(const char *what, cudaStream_t stream);

// What a function says that uses the current device and must not be called while any stream captures (the capture then
// becomes invalid), or while this one does: cudaSuccess or the error. Reports.
cudaError_t check_not_capturing(const char *function);
cudaError_t check_stream_not_capturing(const char *function, cudaStream_t stream);

}  // namespace simt

struct CUstream_st {
  int device = 0;  // not the default stream's: that is the current device's
  unsigned flags = 0;
  int priority = 0;
  std::shared_ptr<simt::Capture> capture;  // null: not capturing
  std::vector<int> last;                   // the captured nodes that what comes next depends on
};
