#include "runtime/stream.h"

#include <sched.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace vbl {
namespace {

// Ops follow each other within microseconds, and waking a sleeping thread takes tens of them: so both sides look again
// this often before they sleep.
constexpr int kSpins = 1000;

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

// A loop is published under the mutex with a new number. Tasks are claimed from `claims`, which holds that number beside
// the next task, so that a worker that comes late cannot claim a task of a later loop with the body of an earlier one.
// The caller returns when all tasks are finished; it does not wait for workers that have not noticed the loop.
struct ThreadTeam::State {
  static constexpr int kTaskBits = 36;
  static constexpr uint64_t kTaskMask = (uint64_t{1} << kTaskBits) - 1;

  std::mutex mutex;
  std::condition_variable start, finish;
  std::vector<std::thread> workers;
  std::atomic<uint64_t> loop{0};
  std::atomic<uint64_t> claims{0};
  std::atomic<int64_t> finished{0};
  std::atomic<bool> caller_sleeps{false};
  std::atomic<bool> stop{false};
  int32_t sleepers = 0;
  TaskRef task{nothing};
  int64_t tasks = 0;

  static constexpr auto nothing = [](int64_t, int32_t) {};

  // Claims the next task of a loop; -1 if there is none left or another loop runs.
  int64_t claim(uint64_t number, int64_t count) {
    uint64_t seen = claims.load(std::memory_order_acquire);
    for (;;) {
      const int64_t next = static_cast<int64_t>(seen & kTaskMask);
      if (seen >> kTaskBits != (number & (~uint64_t{0} >> kTaskBits)) || next >= count) return -1;
      if (claims.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel)) return next;
    }
  }

  void work(uint64_t number, const TaskRef &body, int64_t count, int32_t worker) {
    for (int64_t i = claim(number, count); i >= 0; i = claim(number, count)) {
      body(i, worker);
      // Sequentially consistent, as is the caller's test after caller_sleeps: one of the two sees the other.
      if (finished.fetch_add(1) + 1 == count && caller_sleeps.load()) {
        std::lock_guard<std::mutex> lock(mutex);
        finish.notify_one();
      }
    }
  }

  void run_worker(int32_t worker) {
    for (uint64_t seen = 0;;) {
      for (int i = 0; i < kSpins && loop.load(std::memory_order_acquire) == seen && !stop; ++i) pause();
      TaskRef body(nothing);
      int64_t count;
      {
        std::unique_lock<std::mutex> lock(mutex);
        ++sleepers;
        start.wait(lock, [&] { return stop || loop != seen; });
        --sleepers;
        if (stop) return;
        seen = loop;
        body = task;
        count = tasks;
      }
      work(seen, body, count, worker);
    }
  }
};

ThreadTeam::ThreadTeam(int32_t threads) : state_(new State) {
  state_->workers.reserve(static_cast<size_t>(threads - 1));
  try {
    for (int32_t worker = 1; worker < threads; ++worker)
      state_->workers.emplace_back([state = state_.get(), worker] { state->run_worker(worker); });
  } catch (...) {
    stop_and_join();
    throw;
  }
}

ThreadTeam::~ThreadTeam() { stop_and_join(); }

void ThreadTeam::stop_and_join() {
  {
    std::lock_guard<std::mutex> lock(state_->mutex);
    state_->stop = true;
  }
  state_->start.notify_all();
  for (std::thread &worker : state_->workers) worker.join();
}

int32_t ThreadTeam::threads() const { return static_cast<int32_t>(state_->workers.size()) + 1; }

void ThreadTeam::run(int64_t tasks, TaskRef task) {
  State &s = *state_;
  if (s.workers.empty() || tasks <= 1) {
    for (int64_t i = 0; i < tasks; ++i) task(i, 0);
    return;
  }
  uint64_t number;
  bool wake;
  {
    std::lock_guard<std::mutex> lock(s.mutex);
    number = s.loop + 1;
    s.task = task;
    s.tasks = tasks;
    s.finished = 0;
    s.claims.store(number << State::kTaskBits, std::memory_order_release);
    s.loop.store(number, std::memory_order_release);
    wake = s.sleepers > 0;
  }
  if (wake) s.start.notify_all();
  s.work(number, task, tasks, 0);
  for (int i = 0; i < kSpins; ++i) {
    if (s.finished == tasks) return;
    pause();
  }
  std::unique_lock<std::mutex> lock(s.mutex);
  s.caller_sleeps = true;
  s.finish.wait(lock, [&] { return s.finished == tasks; });
  s.caller_sleeps = false;
}

namespace {

int32_t usable_processors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set) > 0 ? CPU_COUNT(&set) : 1;
  const unsigned n = std::thread::hardware_concurrency();
  return n > 0 ? static_cast<int32_t>(n) : 1;
}

}  // namespace
}  // namespace vbl

extern "C" vbl_status vbl_stream_create(int32_t device, int32_t threads, vbl_stream **stream) {
  return vbl::guarded([&]() -> vbl_status {
    VBL_REQUIRE_NOT_NULL(stream);
    *stream = nullptr;
    VBL_REQUIRE(threads >= 0 && threads <= 1024, "threads must lie in 0 .. 1024, found %d", threads);
    if (device != VBL_DEVICE_CPU) {
      VBL_TRY(VBL_CUDA(vbl::cuda::require_device(device)));
      std::unique_ptr<vbl_stream> created(new vbl_stream{device, nullptr});
      VBL_TRY(VBL_CUDA(vbl::cuda::stream_create(device, &created->cuda)));
      created->owns_cuda = true;
      *stream = created.release();
      return VBL_OK;
    }
    const int32_t wanted = threads > 0 ? threads : vbl::usable_processors();
    try {
      *stream = new vbl_stream{device, std::make_unique<vbl::ThreadTeam>(wanted)};
    } catch (const std::system_error &e) {
      return vbl::fail(VBL_OUT_OF_MEMORY, "%d threads could not be started: %s", wanted, e.what());
    }
    return VBL_OK;
  });
}

extern "C" vbl_status vbl_stream_wrap(int32_t device, void *cuda_stream, vbl_stream **stream) {
  return vbl::guarded([&]() -> vbl_status {
    VBL_REQUIRE_NOT_NULL(stream);
    *stream = nullptr;
    VBL_REQUIRE(device != VBL_DEVICE_CPU, "%s: device must be a CUDA device, found the CPU", __func__);
    VBL_TRY(VBL_CUDA(vbl::cuda::require_device(device)));
    *stream = new vbl_stream{device, nullptr, cuda_stream};
    return VBL_OK;
  });
}

extern "C" vbl_status vbl_stream_destroy(vbl_stream *stream) {
  return vbl::guarded([&]() -> vbl_status {
    const std::unique_ptr<vbl_stream> owned(stream);
    if (stream != nullptr) VBL_ON_CUDA(stream, vbl::cuda::stream_destroy(stream));
    return VBL_OK;
  });
}

extern "C" vbl_status vbl_stream_synchronize(vbl_stream *stream) {
  VBL_REQUIRE_NOT_NULL(stream);
  VBL_ON_CUDA(stream, vbl::cuda::stream_synchronize(stream));
  return VBL_OK;
}

extern "C" int32_t vbl_stream_device(const vbl_stream *stream) {
  return stream != nullptr ? stream->device : VBL_DEVICE_CPU;
}

extern "C" void *vbl_stream_cuda(const vbl_stream *stream) { return stream != nullptr ? stream->cuda : nullptr; }

extern "C" int32_t vbl_stream_threads(const vbl_stream *stream) {
  return stream != nullptr && stream->team != nullptr ? stream->team->threads() : 0;
}
