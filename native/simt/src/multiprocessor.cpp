#include "multiprocessor.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "sanitizer.h"
#include "views.h"

namespace simt {

__thread Current current __attribute__((tls_model("initial-exec"))) = {};

Views &shared_views = *new Views;

namespace {

__thread Multiprocessor *t_running __attribute__((tls_model("initial-exec")));

constexpr unsigned kNoSync = 1;  // of __tsan_switch_to_fiber: the switch orders nothing

std::string text(uint3 v) {
  return "(" + std::to_string(v.x) + "," + std::to_string(v.y) + "," + std::to_string(v.z) + ")";
}
std::string text(Site site) { return std::string(site.file) + ":" + std::to_string(site.line); }
std::string text(unsigned mask) {
  char digits[16];
  std::snprintf(digits, sizeof digits, "0x%08x", mask);
  return digits;
}

bool same(Site a, Site b) { return a.line == b.line && (a.file == b.file || std::strcmp(a.file, b.file) == 0); }

const char *name(Barrier kind) {
  switch (kind) {
    case Barrier::count:
      return "__syncthreads_count";
    case Barrier::conjunction:
      return "__syncthreads_and";
    case Barrier::disjunction:
      return "__syncthreads_or";
    case Barrier::plain:
      break;
  }
  return "__syncthreads";
}

const char *name(WarpOperation operation) {
  switch (operation) {
    case WarpOperation::shuffle:
      return "__shfl_sync";
    case WarpOperation::vote:
      return "a __ballot_sync, __any_sync or __all_sync";
    case WarpOperation::match:
      return "__match_any_sync";
    case WarpOperation::reduce:
      return "a __reduce_sync";
    case WarpOperation::syncwarp:
      break;
  }
  return "__syncwarp";
}

int lowest(unsigned mask) { return __builtin_ctz(mask); }

// Spreads the tops of stacks over the cache's sets.
size_t stack_colour(int thread) { return static_cast<size_t>(thread) * 320 % 4096 & ~size_t{63}; }

}  // namespace

Multiprocessor *Multiprocessor::running() { return t_running; }

std::string Multiprocessor::where() const {
  const LaunchName &name = grid_->launch.name;
  return "kernel " + std::string(name.kernel) + " (launched at " + name.file + ":" + std::to_string(name.line) +
         "), block " + text(block_) + ", thread " + text(fibers_[current.linear].index);
}

std::string Multiprocessor::run(Grid &grid, uint3 block) {
  grid_ = &grid;
  prepare(block);
  t_running = this;
  schedule();
  t_running = nullptr;
  forget_fibers();
  shared_views.give_back(views_);
  views_.clear();
  return std::exchange(error_, {});
}

void Multiprocessor::prepare(uint3 block) {
  const Launch &launch = grid_->launch;
  block_ = block;
  random_ = Random(grid_->seed ^ (uint64_t{block.z} << 48 ^ uint64_t{block.y} << 32 ^ block.x) * 0x9e3779b97f4a7c15u);
  const dim3 d = launch.block;
  if (d.x != dimensions_.x || d.y != dimensions_.y || d.z != dimensions_.z) {
    dimensions_ = d;
    const int threads = static_cast<int>(d.x * d.y * d.z);
    fibers_.assign(threads, Fiber{});
    for (int i = 0; i < threads; ++i) {
      const unsigned u = static_cast<unsigned>(i);
      fibers_[i].index = {u % d.x, u / d.x % d.y, u / (d.x * d.y)};
    }
    warps_.resize((threads + kWarpSize - 1) / kWarpSize);
    warp_order_.resize(warps_.size());
    for (size_t w = 0; w < warps_.size(); ++w) {
      const int lanes = threads - static_cast<int>(w) * kWarpSize;
      warps_[w].lanes = lanes >= kWarpSize ? 0xffffffffu : (1u << lanes) - 1;
      warps_[w].meetings.clear();
      warps_[w].meetings.reserve(kMeetings);
    }
  }
  for (size_t w = 0; w < warps_.size(); ++w) {
    warp_order_[w] = static_cast<int>(w);
    warps_[w].ready = warps_[w].lanes;
    warps_[w].at_barrier = warps_[w].finished = 0;
  }
  live_ = static_cast<int>(fibers_.size());
  barrier_ = BlockBarrier{};

  if (kernel_ != launch.kernel) {
    kernel_ = launch.kernel;
    static_shared_ = launch.shared_per_process ? ThreadLocals{} : thread_locals_of(kernel_);
  }
  poison(static_shared_.begin, static_shared_.bytes, grid_->seed, random_);
  dynamic_shared_.resize(launch.shared_bytes);
  poison(dynamic_shared_.data(), launch.shared_bytes, grid_->seed, random_);

  current = {};
  current.block = block;
  current.block_dim = d;
  current.grid_dim = launch.grid;
  current.dynamic_shared = dynamic_shared_.data();
  if (sanitizer::thread()) scheduler_view_ = __tsan_get_current_fiber();
}

// With seed 0, warp after warp runs as far as it can, its lanes in order; else warps and lanes take turns at random.
void Multiprocessor::schedule() {
  const bool shuffled = grid_->seed != 0;
  while (live_ > 0) {
    if (shuffled) {
      for (size_t i = warp_order_.size(); i > 1; --i) {
        std::swap(warp_order_[i - 1], warp_order_[random_.below(static_cast<uint32_t>(i))]);
      }
    }
    bool moved = false;
    for (size_t i = 0; i < warp_order_.size() && error_.empty(); ++i) {
      const int warp = shuffled ? warp_order_[i] : static_cast<int>(i);
      while (warps_[warp].ready != 0 && error_.empty()) {
        moved = true;
        run_warp(warp);
        if (shuffled) break;
      }
    }
    if (!error_.empty()) return;
    if (!moved) {
      error_ = deadlock();
      return;
    }
  }
}

// Every lane that is ready now runs once.
void Multiprocessor::run_warp(int warp) {
  unsigned lanes = warps_[warp].ready;
  while (lanes != 0) {
    unsigned pick = lanes;
    if (grid_->seed != 0) {
      uint32_t skip = random_.below(static_cast<uint32_t>(__builtin_popcount(lanes)));
      for (; skip > 0; --skip) pick &= pick - 1;
    }
    const int lane = lowest(pick);
    lanes &= ~(1u << lane);
    resume(warp * kWarpSize + lane);
    if (!error_.empty()) return;
  }
}

void Multiprocessor::resume(int thread) {
  Fiber &fiber = fibers_[thread];
  warps_[thread / kWarpSize].ready &= ~(1u << thread % kWarpSize);
  current.thread = fiber.index;
  current.linear = thread;
  const bool first = fiber.stack == nullptr;
  if (first) start(fiber);
  if (sanitizer::address()) __sanitizer_start_switch_fiber(&scheduler_fake_stack_, fiber.stack, Stacks::kBytes);
  // What went before the launch happens before a thread's start; the scheduler's later switches order nothing.
  if (sanitizer::thread()) __tsan_switch_to_fiber(fiber.view, first ? 0 : kNoSync);
  switch_context(scheduler_, fiber.context);
  if (sanitizer::address()) __sanitizer_finish_switch_fiber(scheduler_fake_stack_, nullptr, nullptr);
}

void Multiprocessor::start(Fiber &fiber) {
  if (!sanitizer::thread()) {
    fiber.stack = stacks_.take();
  } else {
    views_.push_back(shared_views.take(fibers_.size()));
    fiber.view = views_.back().handle;
    fiber.stack = views_.back().stack;
    const std::string name =
        std::string(grid_->launch.name.kernel) + " block " + text(block_) + " thread " + text(fiber.index);
    __tsan_set_fiber_name(fiber.view, name.c_str());
  }
  fiber.fake_stack = nullptr;
  const int thread = static_cast<int>(&fiber - fibers_.data());
  make_context(fiber.context, fiber.stack, Stacks::kBytes - stack_colour(thread), &Multiprocessor::enter);
}

void Multiprocessor::release_stack(Fiber &fiber) {
  if (!sanitizer::thread()) stacks_.give_back(fiber.stack);  // a view keeps its stack
  fiber.stack = nullptr;
}

void Multiprocessor::enter() {
  Multiprocessor &self = *t_running;
  if (sanitizer::address()) {
    __sanitizer_finish_switch_fiber(nullptr, &self.scheduler_stack_, &self.scheduler_stack_bytes_);
  }
  const Launch &launch = self.grid_->launch;
  launch.call(launch.arguments.get());

  const int thread = current.linear;
  Fiber &fiber = self.fibers_[thread];
  Warp &warp = self.warps_[thread / kWarpSize];
  warp.finished |= 1u << thread % kWarpSize;
  --self.live_;
  if (self.barrier_.arrived > 0) {
    const uint3 waiting = self.fibers_[self.barrier_.first].index;
    self.fail(self.barrier_.site, "leaves the kernel while thread (%u,%u,%u) waits in %s", waiting.x, waiting.y,
              waiting.z, name(self.barrier_.kind));
  }
  sanitizer::release(&self.grid_->done_tag);
  // Nothing runs on this stack between here and the scheduler's next start of a fiber.
  self.release_stack(fiber);
  self.leave(true);
  std::abort();
}

void Multiprocessor::leave(bool finished) {
  Fiber &fiber = fibers_[current.linear];
  if (sanitizer::address()) {
    __sanitizer_start_switch_fiber(finished ? nullptr : &fiber.fake_stack, scheduler_stack_, scheduler_stack_bytes_);
  }
  if (sanitizer::thread()) __tsan_switch_to_fiber(scheduler_view_, kNoSync);
  switch_context(fiber.context, scheduler_);
  if (sanitizer::address()) {
    __sanitizer_finish_switch_fiber(fiber.fake_stack, &scheduler_stack_, &scheduler_stack_bytes_);
  }
}

// After an error threads are left where they stand. What they did still happens before the launch's end.
void Multiprocessor::forget_fibers() {
  if (error_.empty()) return;
  for (Fiber &fiber : fibers_) {
    if (fiber.stack == nullptr) continue;
    if (sanitizer::address()) __asan_unpoison_memory_region(fiber.stack, Stacks::kBytes);
    if (sanitizer::thread()) {
      __tsan_switch_to_fiber(fiber.view, kNoSync);
      __tsan_release(&grid_->done_tag);
      __tsan_switch_to_fiber(scheduler_view_, kNoSync);
    }
    release_stack(fiber);
  }
  for (Warp &warp : warps_) warp.meetings.clear();
}

void Multiprocessor::fail(Site site, const char *format, ...) {
  // The message is the scheduler's: it frees it.
  if (sanitizer::thread()) __tsan_switch_to_fiber(scheduler_view_, kNoSync);
  {
    char what[512];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    error_ = where() + ": " + what + ", at " + text(site);
  }
  if (sanitizer::thread()) __tsan_switch_to_fiber(fibers_[current.linear].view, kNoSync);
  leave(false);
  std::abort();
}

int Multiprocessor::block_sync(Barrier kind, bool predicate, Site site) {
  const int thread = current.linear;
  const int threads = static_cast<int>(fibers_.size());
  BlockBarrier &barrier = barrier_;
  if (live_ < threads) {
    for (size_t w = 0; w < warps_.size(); ++w) {
      if (warps_[w].finished == 0) continue;
      const int gone = static_cast<int>(w) * kWarpSize + lowest(warps_[w].finished);
      const uint3 left = fibers_[gone].index;
      fail(site, "reaches %s after thread (%u,%u,%u) has left the kernel", name(kind), left.x, left.y, left.z);
    }
  }
  if (barrier.arrived == 0) {
    barrier.site = site;
    barrier.kind = kind;
    barrier.first = thread;
  } else if (barrier.kind != kind || !same(barrier.site, site)) {
    const uint3 waiting = fibers_[barrier.first].index;
    fail(site, "reaches %s while thread (%u,%u,%u) waits in another one, %s at %s:%d", name(kind), waiting.x, waiting.y,
         waiting.z, name(barrier.kind), barrier.site.file, barrier.site.line);
  }
  const int phase = barrier.phase;
  sanitizer::release(&barrier.tags[phase]);
  barrier.votes[phase] += predicate;
  if (++barrier.arrived == threads) {
    for (Warp &warp : warps_) {
      warp.ready |= warp.at_barrier;
      warp.at_barrier = 0;
    }
    barrier.arrived = 0;
    barrier.phase ^= 1;
    barrier.votes[barrier.phase] = 0;
  } else {
    Fiber &fiber = fibers_[thread];
    fiber.waits_in = name(kind);
    fiber.waits_at = site;
    fiber.waits_for = 0;
    warps_[thread / kWarpSize].at_barrier |= 1u << thread % kWarpSize;
    leave(false);
  }
  sanitizer::acquire(&barrier.tags[phase]);
  switch (kind) {
    case Barrier::conjunction:
      return barrier.votes[phase] == threads;
    case Barrier::disjunction:
      return barrier.votes[phase] != 0;
    case Barrier::count:
    case Barrier::plain:
      break;
  }
  return barrier.votes[phase];
}

Multiprocessor::Meeting &Multiprocessor::find_meeting(Warp &warp, unsigned mask) {
  Meeting *free = nullptr;
  for (Meeting &meeting : warp.meetings) {
    if (meeting.mask == mask) return meeting;
    if ((meeting.arrived | meeting.leaving) == 0) free = &meeting;
  }
  if (warp.meetings.size() < kMeetings) {
    warp.meetings.emplace_back();
    free = &warp.meetings.back();
  }
  free->mask = mask;
  return *free;
}

Multiprocessor::Met Multiprocessor::meet(WarpOperation operation, unsigned mask, uint64_t value, Site site) {
  const int thread = current.linear, lane = thread % kWarpSize;
  Warp &warp = warps_[thread / kWarpSize];
  const unsigned expected = mask & warp.lanes, gone = expected & warp.finished;
  if (!(mask >> lane & 1)) {
    fail(site, "calls %s with mask 0x%08x, which lacks its own lane %d", name(operation), mask, lane);
  }
  if (gone != 0) {
    fail(site, "calls %s with mask 0x%08x, whose lane %d has left the kernel", name(operation), mask, lowest(gone));
  }
  Meeting &meeting = find_meeting(warp, mask);
  if (meeting.arrived == 0) {
    meeting.operation = operation;
    meeting.site = site;
    meeting.first_lane = lane;
  } else if (meeting.operation != operation || !same(meeting.site, site)) {
    fail(site, "calls %s with mask 0x%08x while lane %d of that mask waits in another call, %s at %s:%d",
         name(operation), mask, meeting.first_lane, name(meeting.operation), meeting.site.file, meeting.site.line);
  }
  const int phase = meeting.phase;
  meeting.values[phase][lane] = value;
  meeting.arrived |= 1u << lane;
  if (operation == WarpOperation::syncwarp) sanitizer::release(&meeting.tags[phase]);
  if (meeting.arrived == expected) {
    warp.ready |= expected & ~(1u << lane);
    meeting.arrived = 0;
    meeting.leaving |= expected;
    meeting.phase ^= 1;
  } else {
    Fiber &fiber = fibers_[thread];
    fiber.waits_in = name(operation);
    fiber.waits_at = site;
    fiber.waits_for = mask;
    leave(false);
  }
  return {&meeting, phase};
}

void Multiprocessor::part(const Met &met, WarpOperation operation) {
  if (operation == WarpOperation::syncwarp) sanitizer::acquire(&met.meeting->tags[met.phase]);
  met.meeting->leaving &= ~(1u << current.linear % kWarpSize);
}

uint64_t Multiprocessor::warp_exchange(WarpOperation operation, unsigned mask, uint64_t value, int source, Site site) {
  const Met met = meet(operation, mask, value, site);
  if (!(mask & warps_[current.linear / kWarpSize].lanes & 1u << source)) {
    fail(site, "reads from lane %d, which is not in the mask 0x%08x of its %s, or not in the block", source, mask,
         name(operation));
  }
  const uint64_t result = met.meeting->values[met.phase][source];
  part(met, operation);
  return result;
}

unsigned Multiprocessor::warp_gather(WarpOperation operation, unsigned mask, uint64_t value,
                                     uint64_t (&values)[kWarpSize], Site site) {
  const Met met = meet(operation, mask, value, site);
  const unsigned lanes = mask & warps_[current.linear / kWarpSize].lanes;
  // Volatile, so that it stays out of memcpy, whose reads ThreadSanitizer would see.
  const volatile uint64_t *from = met.meeting->values[met.phase];
  for (unsigned left = lanes; left != 0; left &= left - 1) values[lowest(left)] = from[lowest(left)];
  part(met, operation);
  return lanes;
}

// All who wait, those in one place together.
std::string Multiprocessor::deadlock() const {
  const LaunchName &launched = grid_->launch.name;
  std::string message = "kernel " + std::string(launched.kernel) + " (launched at " + launched.file + ":" +
                        std::to_string(launched.line) + "), block " + text(block_) + ": deadlock";
  int first = 0;
  const auto alike = [&](int a, int b) {
    const Fiber &x = fibers_[a], &y = fibers_[b];
    if (x.stack == nullptr || y.stack == nullptr) return x.stack == y.stack;
    return x.waits_for == y.waits_for && x.waits_in == y.waits_in && same(x.waits_at, y.waits_at);
  };
  const int threads = static_cast<int>(fibers_.size());
  for (int i = 1; i <= threads; ++i) {
    if (i < threads && alike(first, i)) continue;
    const Fiber &fiber = fibers_[first];
    message +=
        "\n  " + std::to_string(i - first) + (i - first == 1 ? " thread from " : " threads from ") + text(fiber.index);
    if (fiber.stack == nullptr) {
      message += ": left the kernel";
    } else {
      message += ": in " + std::string(fiber.waits_in) +
                 (fiber.waits_for ? " with mask " + text(fiber.waits_for) : "") + ", at " + text(fiber.waits_at);
    }
    first = i;
  }
  return message;
}

namespace {

Multiprocessor &running_or_abort(const char *what, Site site) {
  if (t_running == nullptr) {
    std::fprintf(stderr, "simt: %s outside a kernel, at %s:%d\n", what, site.file, site.line);
    std::abort();
  }
  return *t_running;
}

char fence_tag;

}  // namespace

int block_sync(Barrier kind, bool predicate, Site site) {
  return running_or_abort(name(kind), site).block_sync(kind, predicate, site);
}

uint64_t warp_exchange(WarpOperation operation, unsigned mask, uint64_t value, int source, Site site) {
  return running_or_abort(name(operation), site).warp_exchange(operation, mask, value, source, site);
}

unsigned warp_gather(WarpOperation operation, unsigned mask, uint64_t value, uint64_t (&values)[kWarpSize], Site site) {
  return running_or_abort(name(operation), site).warp_gather(operation, mask, value, values, site);
}

void fail(const char *what, Site site) { running_or_abort(what, site).fail(site, "%s", what); }

void fence() {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  sanitizer::acquire(&fence_tag);
  sanitizer::release(&fence_tag);
}

}  // namespace simt
