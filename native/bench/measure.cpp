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
  require(vbl_memset_blocking(device_, base_, kGuardByte, front_), "a fill");
  require(vbl_memset_blocking(device_, base_ + front_ + bytes_, kGuardByte, kGuard), "a fill");
}

Memory::~Memory() { vbl_free(device_, base_); }

void Memory::fill(int32_t byte) { require(vbl_memset_blocking(device_, memory(), byte, bytes_), "a fill"); }

void Memory::read(void *host) const {
  require(vbl_memcpy_blocking(device_, host, memory(), bytes_), "a copy from the device");
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

Timer::Timer(vbl_stream *stream, int repetitions, int64_t flush_bytes)
    : stream_(stream), repetitions_(repetitions), warm_ups_(std::min(3, repetitions / 2)),
      flushed_(stream, flush_bytes / 4), sum_(stream, 1),
      scratch_(stream, vbl_sum_squares_scratch_bytes(stream, flush_bytes / 4)) {
  flushed_.clear();
  sum_.clear();
  require(vbl_event_create(vbl_stream_device(stream), &start_), "an event");
  require(vbl_event_create(vbl_stream_device(stream), &end_), "an event");
}

Timer::~Timer() {
  vbl_event_destroy(start_);
  vbl_event_destroy(end_);
}

// Reading leaves the caches clean: nothing is to be written back while the op runs. On CUDA the op's launches are given
// to the stream meanwhile, so that it does not wait for them.
void Timer::flush() {
  require(vbl_sum_squares(stream_, flushed_.size(), flushed_.data(), sum_.data(), scratch_.data(), scratch_.bytes()),
          "vbl_sum_squares");
}

Times Timer::summary(std::vector<double> measured) const {
  std::sort(measured.begin(), measured.end());
  Times times;
  times.median = percentile(measured, 0.5);
  times.low = percentile(measured, 0.1);
  times.high = percentile(measured, 0.9);
  return times;
}

Times Timer::measure(const Op &op, bool graph, bool cold) {
  const vbl_status first = op();
  if (first == VBL_UNSUPPORTED) {
    Times times;
    times.supported = false;
    return times;
  }
  require(first, "an op");
  vbl_graph *captured = nullptr;
  if (graph) {
    require(vbl_graph_begin(stream_), "vbl_graph_begin");
    require(op(), "an op");
    require(vbl_graph_end(stream_, &captured), "vbl_graph_end");
  }
  std::vector<double> measured;
  for (int i = 0; i < warm_ups_ + repetitions_; ++i) {
    if (cold) flush();
    require(vbl_event_record(start_, stream_), "vbl_event_record");
    require(graph ? vbl_graph_launch(stream_, captured) : op(), "an op");
    require(vbl_event_record(end_, stream_), "vbl_event_record");
    require(vbl_event_synchronize(end_), "vbl_event_synchronize");
    float milliseconds = 0;
    require(vbl_event_elapsed(start_, end_, &milliseconds), "vbl_event_elapsed");
    if (i >= warm_ups_) measured.push_back(1e3 * milliseconds);
  }
  require(vbl_graph_destroy(captured), "vbl_graph_destroy");
  return summary(std::move(measured));
}

double Timer::copy_bandwidth() {
  const int64_t half = flushed_.bytes() / 2;
  char *memory = reinterpret_cast<char *>(flushed_.data());
  const Times times =
      measure([&] { return vbl_memcpy(stream_, memory + half, memory, half); }, false, false);
  return 2e-3 * static_cast<double>(half) / times.median;
}

Times Timer::launch(bool graph) {
  const auto burst = [&] {
    for (int i = 0; i < kBurst; ++i) {
      require(vbl_convert(stream_, 1, flushed_.data(), VBL_FLOAT32, flushed_.data() + 1, VBL_BFLOAT16), "vbl_convert");
    }
  };
  vbl_graph *captured = nullptr;
  if (graph) {
    require(vbl_graph_begin(stream_), "vbl_graph_begin");
    burst();
    require(vbl_graph_end(stream_, &captured), "vbl_graph_end");
  }
  std::vector<double> measured;
  for (int i = 0; i < warm_ups_ + repetitions_; ++i) {
    require(vbl_stream_synchronize(stream_), "vbl_stream_synchronize");
    const auto start = std::chrono::steady_clock::now();
    if (graph) {
      require(vbl_graph_launch(stream_, captured), "vbl_graph_launch");
    } else {
      burst();
    }
    const std::chrono::duration<double, std::micro> taken = std::chrono::steady_clock::now() - start;
    if (i >= warm_ups_) measured.push_back(taken.count() / kBurst);
  }
  require(vbl_stream_synchronize(stream_), "vbl_stream_synchronize");
  require(vbl_graph_destroy(captured), "vbl_graph_destroy");
  return summary(std::move(measured));
}

}  // namespace bench
