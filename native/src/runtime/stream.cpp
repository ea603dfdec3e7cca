#include "runtime/stream.h"

#include <sched.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace vbl {

struct ThreadTeam::State {
  std::mutex mutex;
  std::condition_variable start, finish;
  std::vector<std::thread> workers;
  uint64_t generation = 0;
  int32_t busy = 0;
  bool stop = false;
  const TaskRef *task = nullptr;
  int64_t tasks = 0;
  std::atomic<int64_t> next{0};

  void drain(const TaskRef &work, int64_t count, int32_t worker) {
    for (int64_t i = next.fetch_add(1, std::memory_order_relaxed); i < count;
         i = next.fetch_add(1, std::memory_order_relaxed))
      work(i, worker);
  }

  void loop(int32_t worker) {
    uint64_t seen = 0;
    std::unique_lock<std::mutex> lock(mutex);
    for (;;) {
      start.wait(lock, [&] { return stop || generation != seen; });
      if (stop) return;
      seen = generation;
      const TaskRef *work = task;
      const int64_t count = tasks;
      lock.unlock();
      drain(*work, count, worker);
      lock.lock();
      if (--busy == 0) finish.notify_one();
    }
  }
};

ThreadTeam::ThreadTeam(int32_t threads) : state_(new State) {
  state_->workers.reserve(static_cast<size_t>(threads - 1));
  try {
    for (int32_t worker = 1; worker < threads; ++worker)
      state_->workers.emplace_back([state = state_.get(), worker] { state->loop(worker); });
  } catch (...) {
    this->~ThreadTeam();
    throw;
  }
}

ThreadTeam::~ThreadTeam() {
  if (!state_) return;
  {
    std::lock_guard<std::mutex> lock(state_->mutex);
    state_->stop = true;
  }
  state_->start.notify_all();
  for (std::thread &worker : state_->workers) worker.join();
  state_.reset();
}

int32_t ThreadTeam::threads() const { return static_cast<int32_t>(state_->workers.size()) + 1; }

void ThreadTeam::run(int64_t tasks, TaskRef task) {
  State &s = *state_;
  if (s.workers.empty() || tasks <= 1) {
    for (int64_t i = 0; i < tasks; ++i) task(i, 0);
    return;
  }
  {
    std::lock_guard<std::mutex> lock(s.mutex);
    s.task = &task;
    s.tasks = tasks;
    s.next.store(0, std::memory_order_relaxed);
    s.busy = static_cast<int32_t>(s.workers.size());
    ++s.generation;
  }
  s.start.notify_all();
  s.drain(task, tasks, 0);
  std::unique_lock<std::mutex> lock(s.mutex);
  s.finish.wait(lock, [&] { return s.busy == 0; });
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
    VBL_REQUIRE_POINTER(stream);
    *stream = nullptr;
    VBL_REQUIRE(threads >= 0 && threads <= 1024, "threads must lie in 0 .. 1024, found %d", threads);
    if (device != VBL_DEVICE_CPU) {
      int32_t count = 0;
      VBL_TRY(vbl_cuda_device_count(&count));
      if (device < 0 || device >= count)
        return vbl::fail(VBL_NO_DEVICE, "CUDA device %d does not exist: there are %d", device, count);
      return vbl::fail(VBL_UNSUPPORTED, "this version has no CUDA kernels yet: use the CPU device");
    }
    *stream = new vbl_stream{device, vbl::ThreadTeam(threads > 0 ? threads : vbl::usable_processors())};
    return VBL_OK;
  });
}

extern "C" vbl_status vbl_stream_destroy(vbl_stream *stream) {
  return vbl::guarded([&]() -> vbl_status {
    delete stream;
    return VBL_OK;
  });
}

extern "C" vbl_status vbl_stream_synchronize(vbl_stream *stream) {
  VBL_REQUIRE_CPU(stream);
  return VBL_OK;
}

extern "C" int32_t vbl_stream_device(const vbl_stream *stream) { return stream != nullptr ? stream->device : VBL_DEVICE_CPU; }

extern "C" int32_t vbl_stream_threads(const vbl_stream *stream) { return stream != nullptr ? stream->team.threads() : 0; }
