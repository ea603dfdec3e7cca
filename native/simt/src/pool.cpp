#include "pool.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>

#include "sanitizer.h"

namespace simt {
namespace {

using Task = std::function<void(int64_t, Multiprocessor &)>;

// Threads that live as long as the process: they are neither stopped nor joined.
class Pool {
 public:
  void run(int64_t n, int width, const Task &task) {
    std::unique_lock<std::mutex> lock(mutex_);
    width = static_cast<int>(std::min<int64_t>(width, n));
    while (started_ < width) {
      const int number = started_++;
      std::thread([this, number] { work(number); }).detach();
    }
    task_ = &task;
    n_ = n;
    next_ = 0;
    width_ = busy_ = width;
    ++round_;
    begin_.notify_all();
    end_.wait(lock, [this] { return busy_ == 0; });
  }

 private:
  void work(int number) {
    Multiprocessor multiprocessor;
    uint64_t seen = 0;
    for (;;) {
      {
        std::unique_lock<std::mutex> lock(mutex_);
        begin_.wait(lock, [&] { return round_ != seen; });
        seen = round_;
        if (number >= width_) continue;
      }
      for (int64_t i = next_++; i < n_; i = next_++) (*task_)(i, multiprocessor);
      std::lock_guard<std::mutex> lock(mutex_);
      if (--busy_ == 0) end_.notify_one();
    }
  }

  std::mutex mutex_;
  std::condition_variable begin_, end_;
  const Task *task_ = nullptr;
  std::atomic<int64_t> next_{0};
  int64_t n_ = 0;
  uint64_t round_ = 0;
  int started_ = 0, width_ = 0, busy_ = 0;
};

void run_on_fresh_threads(int64_t n, int width, const Task &task) {
  for (int64_t i = 0; i < n; i += width) {
    std::vector<std::thread> threads;
    for (int64_t j = i; j < std::min(n, i + width); ++j) {
      threads.emplace_back([&task, j] {
        Multiprocessor multiprocessor;
        task(j, multiprocessor);
      });
    }
    for (std::thread &thread : threads) thread.join();
  }
}

int chosen_width() {
  const char *wanted = std::getenv("SIMT_THREADS");
  const int given = wanted == nullptr ? 0 : std::atoi(wanted);
  if (given > 0) return given;
  // ThreadSanitizer needs no coincidence to see a race, and the fewer threads are live, the quicker it is.
  return sanitizer::thread() ? 1 : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace

int pool_width() {
  static const int width = chosen_width();
  return width;
}

void run_on_pool(int64_t n, int width, const Task &task) {
  if (n <= 0) return;
  if (sanitizer::thread()) {
    run_on_fresh_threads(n, width, task);
    return;
  }
  static Pool *const pool = new Pool;
  pool->run(n, width, task);
}

}  // namespace simt
