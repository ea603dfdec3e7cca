// A stream: for the CPU, a fixed team of threads that runs parallel loops; for CUDA, a cudaStream_t.
#pragma once
#include <cstdint>
#include <memory>
#include <type_traits>

#include "runtime/cuda.h"
#include "runtime/error.h"
#include "vblora/runtime.h"

namespace vbl {

// A non-owning reference to a callable void(int64_t task, int32_t worker), so that starting a loop allocates nothing.
class TaskRef {
 public:
  template <typename F>
  TaskRef(const F &f)
      : object_(&f),
        call_([](const void *o, int64_t task, int32_t worker) { (*static_cast<const F *>(o))(task, worker); }) {}
  void operator()(int64_t task, int32_t worker) const { call_(object_, task, worker); }

 private:
  const void *object_;
  void (*call_)(const void *, int64_t, int32_t);
};

class ThreadTeam {
 public:
  // Throws std::system_error if the system does not give so many threads.
  explicit ThreadTeam(int32_t threads);
  ~ThreadTeam();
  int32_t threads() const;
  // Runs task 0 .. tasks-1, each once, on any worker (0 .. threads-1); returns when all are done. What a task computes
  // must depend on its number alone, so that results do not depend on the number of threads. Tasks must not throw.
  void run(int64_t tasks, TaskRef task);

 private:
  struct State;
  void stop_and_join();
  std::unique_ptr<State> state_;
};

}  // namespace vbl

struct vbl_stream {
  int32_t device;
  std::unique_ptr<vbl::ThreadTeam> team;  // of a CPU stream
  void *cuda = nullptr;                   // cudaStream_t of a CUDA stream; NULL is the device's default stream
  bool owns_cuda = false;                 // whether vbl_stream_destroy destroys it
};

namespace vbl {

// Rows that are worth a task of their own, where a row has so many elements and a task is to have about `task`.
inline int64_t rows_per_task(int64_t elements, int64_t task = 32 << 10) {
  return elements >= task ? 1 : task / (elements > 0 ? elements : 1);
}

// Splits [0, n) into pieces of `grain` and calls body(begin, end), or body(begin, end, worker), for each. Pieces do not
// depend on the thread count; worker numbers scratch memory and nothing else.
template <typename Body>
void parallel_for(vbl_stream *stream, int64_t n, int64_t grain, const Body &body) {
  if (n <= 0) return;
  const int64_t pieces = (n + grain - 1) / grain;
  const auto task = [&](int64_t piece, [[maybe_unused]] int32_t worker) {
    const int64_t begin = piece * grain;
    const int64_t end = begin + grain < n ? begin + grain : n;
    if constexpr (std::is_invocable_v<const Body &, int64_t, int64_t, int32_t>) {
      body(begin, end, worker);
    } else {
      body(begin, end);
    }
  };
  if (pieces == 1) {
    task(0, 0);
    return;
  }
  stream->team->run(pieces, TaskRef(task));
}

}  // namespace vbl

// The status of `call`, a function of vbl::cuda, which a library built without CUDA does not have.
#ifdef VBL_WITH_CUDA
#define VBL_CUDA(call) (call)
#else
#define VBL_CUDA(call) ::vbl::fail(VBL_NO_DEVICE, "CUDA is absent: the library was built without CUDA code")
#endif

// Where the stream is a CUDA device's, an op's entry point ends here with the status of its CUDA side.
#define VBL_ON_CUDA(stream, call)                                  \
  do {                                                             \
    if ((stream)->device != VBL_DEVICE_CPU) return VBL_CUDA(call); \
  } while (0)

// The same for an op that has none.
#define VBL_REQUIRE_CPU(stream)                                                             \
  do {                                                                                      \
    VBL_REQUIRE_NOT_NULL(stream);                                                           \
    if ((stream)->device != VBL_DEVICE_CPU)                                                 \
      return ::vbl::fail(VBL_UNSUPPORTED, "%s is not available on CUDA devices", __func__); \
  } while (0)
