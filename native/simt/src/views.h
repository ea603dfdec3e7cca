// ThreadSanitizer's views of CUDA threads ("fibers" there). They are dear to make, so they are used again, the one that
// has rested longest first: races between two blocks are hidden only if they are kMost threads or more apart.
#pragma once
#include <deque>
#include <mutex>
#include <vector>

#include "sanitizer.h"

namespace simt {

class Views {
 public:
  void *take() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (made_ >= kMost && !resting_.empty()) {
        void *view = resting_.front();
        resting_.pop_front();
        return view;
      }
      ++made_;
    }
    return __tsan_create_fiber(0);
  }

  void give_back(const std::vector<void *> &views) {
    const std::lock_guard<std::mutex> lock(mutex_);
    resting_.insert(resting_.end(), views.begin(), views.end());
  }

 private:
  static constexpr size_t kMost = 512;  // ThreadSanitizer has room for 8,128 threads and fibers in all
  std::mutex mutex_;
  std::deque<void *> resting_;
  size_t made_ = 0;
};

// Made when the library is loaded, before any thread could see the making, and never destroyed.
extern Views &shared_views;

}  // namespace simt
