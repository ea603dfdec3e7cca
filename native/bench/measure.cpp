#include "measure.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace bench {
namespace {

constexpr int64_t kGuard = 256;  // bytes before and behind
constexpr char kGuardByte = 0x5C;
constexpr int kBurst = 200;  // launches, fewer than a CUDA stream takes in before it makes the host wait

std::string task;

double percentile(const std::vector<double> &sorted, double share) {
  return sorted[static_cast<size_t>(share * static_cast<double>(sorted.size() - 1) + 0.5)];
}

}  // namespace

void doing(const std::string &what) { task = what; }

void require(vbl_status status, const char *what) {
  if (status == VBL_OK) return;
  std::fprintf(stderr, "vblora-bench: %s%s failed: %s\n", task.empty() ? "" : (task + ": ").c_str(), what,
               vbl_last_error());
  std::exit(1);
}

Memory::Memory(vbl_stream *stream, int64_t bytes, int64_t shift_bytes)
    : device_(vbl_stream_device(stream)), front_(kGuard + shift_bytes), bytes_(bytes) {
  void *memory = nullptr;
  require(vbl_malloc(device_, front_ + bytes_ + kGuard, &memory), "memory");
  base_ = static_cast<char *>(memory);
  fill(kNoNumber);
  require(vbl_memset_blocking(device_, base_, kGuardByte, front_), "a fill");
  require(vbl_memset_blocking(device_, base_ + front_ + bytes_, kGuardByte, kGuard), "a fill");
}

Memory::~Memory() { vbl_free(device_, base_); }

void Memory::fill(int32_t byte) { require(vbl_memset_blocking(device_, memory(), byte, bytes_), "a fill"); }

void Memory::read(void *host, int64_t offset, int64_t bytes) const {
  require(vbl_memcpy_blocking(device_, host, memory() + offset, bytes), "a copy from the device");
}

void Memory::write(const void *host, int64_t offset, int64_t bytes) {
  require(vbl_memcpy_blocking(device_, memory() + offset, host, bytes), "a copy to the device");
}

bool Memory::mend_guards() {
  bool intact = true;
  const std::pair<char *, int64_t> guards[] = {{base_, front_}, {base_ + front_ + bytes_, kGuard}};
  for (const auto &[start, bytes] : guards) {
    std::vector<char> found(static_cast<size_t>(bytes));
    require(vbl_memcpy_blocking(device_, found.data(), start, bytes), "a copy from the device");
    if (std::all_of(found.begin(), found.end(), [](char c) { return c == kGuardByte; })) continue;
    intact = false;
    require(vbl_memset_blocking(device_, start, kGuardByte, bytes), "a fill");
  }
  return intact;
}

Timer::Timer(vbl_stream *stream, const Effort &effort)
    : stream_(stream), effort_(effort), warm_ups_(std::min(3, effort.repetitions / 2)),
      flushed_(stream, effort.flush_bytes / 4), sum_(stream, 1),
      scratch_(stream, vbl_sum_squares_scratch_bytes(stream, effort.flush_bytes / 4)) {
  flushed_.clear();
  sum_.clear();
  require(vbl_event_create(vbl_stream_device(stream), &start_), "an event");
  require(vbl_event_create(vbl_stream_device(stream), &end_), "an event");
  if (vbl_stream_device(stream) != VBL_DEVICE_CPU) busy_ = capture([&] { burst(effort_.busy_launches); });
}

Timer::~Timer() {
  vbl_graph_destroy(busy_);
  vbl_event_destroy(start_);
  vbl_event_destroy(end_);
}

// Reading leaves the caches clean: nothing is to be written back while the op runs.
void Timer::flush() {
  require(vbl_sum_squares(stream_, flushed_.size(), flushed_.data(), sum_.data(), scratch_.data(), scratch_.bytes()),
          "vbl_sum_squares");
}

vbl_graph *Timer::capture(const std::function<void()> &work) {
  vbl_graph *captured = nullptr;
  require(vbl_graph_begin(stream_), "vbl_graph_begin");
  work();
  require(vbl_graph_end(stream_, &captured), "vbl_graph_end");
  return captured;
}

// Kernels that touch next to nothing, each of which waits for the one before.
void Timer::burst(int launches) {
  for (int i = 0; i < launches; ++i)
    require(vbl_convert(stream_, 1, flushed_.data(), VBL_FLOAT32, flushed_.data() + 1, VBL_BFLOAT16), "vbl_convert");
}

Times Timer::summary(std::vector<double> measured) const {
  std::sort(measured.begin(), measured.end());
  Times times;
  times.median = percentile(measured, 0.5);
  times.low = percentile(measured, 0.1);
  times.high = percentile(measured, 0.9);
  return times;
}

// What a graph of many small kernels takes the device, several times as long as the host needs for what comes after it,
// hides the host: the op is in the stream before the device comes to the start event. Other runs of the op would not do
// in its place, where the host takes longer to launch one than the device to run it.
Times Timer::measure(const Op &op, bool graph, bool cold, const Op &prepare) {
  const auto prepared = [&] {
    if (prepare) require(prepare(), "an op's input");
  };
  prepared();
  const vbl_status first = op();
  if (first == VBL_UNSUPPORTED) {
    Times times;
    times.supported = false;
    return times;
  }
  require(first, "an op");
  vbl_graph *captured = graph ? capture([&] { require(op(), "an op"); }) : nullptr;
  std::vector<double> measured;
  int waits = 0;
  for (int i = 0; i < warm_ups_ + effort_.repetitions; ++i) {
    if (busy_ != nullptr) require(vbl_graph_launch(stream_, busy_), "vbl_graph_launch");
    prepared();
    if (cold) flush();
    require(vbl_event_record(start_, stream_), "vbl_event_record");
    require(graph ? vbl_graph_launch(stream_, captured) : op(), "an op");
    require(vbl_event_record(end_, stream_), "vbl_event_record");
    int32_t begun = 0;
    require(vbl_event_query(start_, &begun), "vbl_event_query");
    require(vbl_event_synchronize(end_), "vbl_event_synchronize");
    float milliseconds = 0;
    require(vbl_event_elapsed(start_, end_, &milliseconds), "vbl_event_elapsed");
    if (i < warm_ups_) continue;
    measured.push_back(1e3 * milliseconds);
    waits += begun;
  }
  require(vbl_graph_destroy(captured), "vbl_graph_destroy");
  Times times = summary(std::move(measured));
  times.waited = busy_ != nullptr && 2 * waits > effort_.repetitions;
  return times;
}

double Timer::copy_bandwidth() {
  const int32_t device = vbl_stream_device(stream_);
  void *memory = nullptr;
  vbl_status found = vbl_malloc(device, effort_.copy_bytes, &memory);
  for (; found == VBL_OUT_OF_MEMORY && effort_.copy_bytes > effort_.flush_bytes; effort_.copy_bytes /= 2)
    found = vbl_malloc(device, effort_.copy_bytes / 2, &memory);
  require(found, "memory to copy");
  require(vbl_memset_blocking(device, memory, 0, effort_.copy_bytes), "a fill");
  const int64_t half = effort_.copy_bytes / 2;
  const Op copy = [&] { return vbl_memcpy(stream_, static_cast<char *>(memory) + half, memory, half); };
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < effort_.copy_seconds) {
    require(copy(), "vbl_memcpy");
    require(vbl_stream_synchronize(stream_), "vbl_stream_synchronize");
  }
  const Times times = measure(copy, false, false, {});
  require(vbl_free(device, memory), "vbl_free");
  return 2e-3 * static_cast<double>(half) / times.median;
}

Times Timer::launch(bool graph) {
  vbl_graph *captured = graph ? capture([&] { burst(kBurst); }) : nullptr;
  std::vector<double> measured;
  for (int i = 0; i < warm_ups_ + effort_.repetitions; ++i) {
    require(vbl_stream_synchronize(stream_), "vbl_stream_synchronize");
    const auto start = std::chrono::steady_clock::now();
    if (graph) {
      require(vbl_graph_launch(stream_, captured), "vbl_graph_launch");
    } else {
      burst(kBurst);
    }
    const std::chrono::duration<double, std::micro> taken = std::chrono::steady_clock::now() - start;
    if (i >= warm_ups_) measured.push_back(taken.count() / kBurst);
  }
  require(vbl_stream_synchronize(stream_), "vbl_stream_synchronize");
  require(vbl_graph_destroy(captured), "vbl_graph_destroy");
  return summary(std::move(measured));
}

}  // namespace bench
