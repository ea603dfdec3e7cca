// ThreadSanitizer's views of CUDA threads ("fibers" there). Each one makes every synchronisation dearer, so they are
// used again, the one that has rested longest first, after as many threads as a block has at least. A view that is used
// again hides races between the blocks it stood for: those with the block run before are always seen. A view has a
// stack of its own, so that no other view's accesses are ever seen there.
#pragma once
#include <algorithm>
#include <deque>
#include <mutex>
#include <vector>

#include "sanitizer.h"
#include "stacks.h"

namespace simt {

struct View {
  void *handle;
  char *stack;
};

class Views {
 public:
  // For a thread of a block of that many. Throws std::bad_alloc.
  View take(size_t block_threads) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (resting_.size() <= std::max(kLeastResting, block_threads)) return {__tsan_create_fiber(0), stacks_.take()};
    const View view = resting_.front();
    resting_.pop_front();
    return view;
  }

  void give_back(const std::vector<View> &views) {
    const std::lock_guard<std::mutex> lock(mutex_);
    resting_.insert(resting_.end(), views.begin(), views.end());
  }

 private:
  static constexpr size_t kLeastResting = 256;
  std::mutex mutex_;
  std::deque<View> resting_;
  Stacks stacks_;
};

// Made when the library is loaded, before any thread could see the making, and never destroyed.
extern Views &shared_views;

}  // namespace simt
