// Runs a block at a time on one OS thread: each CUDA thread is a fiber that runs until it waits.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "context.h"
#include "random.h"
#include "shared_memory.h"
#include "simt/barrier.h"
#include "simt/launch.h"
#include "simt/warp.h"
#include "stacks.h"
#include "views.h"

namespace simt {

// What the blocks of one launch share.
struct Grid {
  const Launch &launch;
  uint64_t seed;
  char done_tag;  // released by every thread at its end, for ThreadSanitizer
};

class Multiprocessor {
 public:
  Multiprocessor() = default;
  Multiprocessor(const Multiprocessor &) = delete;
  Multiprocessor &operator=(const Multiprocessor &) = delete;

  // Returns the error, empty if there was none. Throws std::bad_alloc.
  std::string run(Grid &grid, uint3 block);

  // For the fiber that runs:
  int block_sync(Barrier kind, bool predicate, Site site);
  uint64_t warp_exchange(WarpOperation operation, unsigned mask, uint64_t value, int source, Site site);
  unsigned warp_gather(WarpOperation operation, unsigned mask, uint64_t value, uint64_t (&values)[kWarpSize],
                       Site site);
  [[noreturn]] void fail(Site site, const char *format, ...) __attribute__((format(printf, 3, 4)));

  // That of this OS thread, while it runs a block.
  static Multiprocessor *running();
  // "kernel (launched at file:line), block (x,y,z), thread (x,y,z)" of the fiber that runs.
  std::string where() const;

 private:
  struct Fiber {
    Context context;
    uint3 index;
    char *stack;       // null before its start and after its end
    void *fake_stack;  // AddressSanitizer's
    void *view;        // ThreadSanitizer's
    const char *waits_in;
    Site waits_at;
    unsigned waits_for;  // a warp operation's mask
  };

  // Where the lanes of one mask exchange values, again and again. Lanes may still read a phase's values while others
  // arrive for the next, so there are two sets; none can arrive for the one after.
  struct Meeting {
    unsigned mask = 0;
    unsigned arrived = 0, leaving = 0;
    int phase = 0, first_lane = 0;
    WarpOperation operation = WarpOperation::syncwarp;
    Site site{};
    uint64_t values[2][kWarpSize];
    char tags[2];
  };
  // Every lane is in one meeting at most, so that one of these is always free for another mask.
  static constexpr size_t kMeetings = kWarpSize + 1;
  struct Met {
    Meeting *meeting;
    int phase;
  };

  struct Warp {
    unsigned lanes;  // that exist
    unsigned ready, at_barrier, finished;
    std::vector<Meeting> meetings;  // room for kMeetings: fibers allocate nothing
  };

  struct BlockBarrier {
    int arrived = 0, phase = 0, first = 0;
    Barrier kind = Barrier::plain;
    Site site{};
    int votes[2] = {0, 0};
    char tags[2];
  };

  void prepare(uint3 block);
  void schedule();
  void run_warp(int warp);
  void resume(int thread);
  void start(Fiber &fiber);
  void release_stack(Fiber &fiber);
  static void enter();
  void leave(bool finished);
  void forget_fibers();
  static Meeting &find_meeting(Warp &warp, unsigned mask);
  Met meet(WarpOperation operation, unsigned mask, uint64_t value, Site site);
  void part(const Met &met, WarpOperation operation);
  std::string deadlock() const;

  Grid *grid_ = nullptr;
  Random random_{0};
  uint3 block_{};
  dim3 dimensions_{0, 0, 0};
  std::vector<Fiber> fibers_;
  std::vector<Warp> warps_;
  std::vector<int> warp_order_;
  int live_ = 0;
  BlockBarrier barrier_;
  std::string error_;

  Stacks stacks_;
  DynamicShared dynamic_shared_;
  const void *kernel_ = nullptr;
  ThreadLocals static_shared_;

  Context scheduler_;
  void *scheduler_fake_stack_ = nullptr, *scheduler_view_ = nullptr;
  const void *scheduler_stack_ = nullptr;
  size_t scheduler_stack_bytes_ = 0;
  std::vector<View> views_;
};

}  // namespace simt
