#include "measure.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace bench {
namespace {

constexpr int kWarmUps = 3;

double percentile(const std::vector<double> &sorted, double share) {
  return sorted[static_cast<size_t>(share * static_cast<double>(sorted.size() - 1) + 0.5)];
}

}  // namespace

void require(vbl_status status, const char *what) {
  if (status == VBL_OK) return;
  std::fprintf(stderr, "vblora-bench: %s failed: %s\n", what, vbl_last_error());
  std::exit(1);
}

Timer::Timer(vbl_stream *stream, int repetitions, int64_t flush_bytes)
    : stream_(stream), repetitions_(repetitions), flushed_(stream, flush_bytes / 4), sum_(stream, 1),
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

Times Timer::measure(const Op &op, bool graph, bool cold) {
  Times times;
  const vbl_status first = op();
  if (first == VBL_UNSUPPORTED) {
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
  for (int i = 0; i < kWarmUps + repetitions_; ++i) {
    if (cold) flush();
    require(vbl_event_record(start_, stream_), "vbl_event_record");
    require(graph ? vbl_graph_launch(stream_, captured) : op(), "an op");
    require(vbl_event_record(end_, stream_), "vbl_event_record");
    require(vbl_event_synchronize(end_), "vbl_event_synchronize");
    float milliseconds = 0;
    require(vbl_event_elapsed(start_, end_, &milliseconds), "vbl_event_elapsed");
    if (i >= kWarmUps) measured.push_back(1e3 * milliseconds);
  }
  require(vbl_graph_destroy(captured), "vbl_graph_destroy");
  std::sort(measured.begin(), measured.end());
  times.median = percentile(measured, 0.5);
  times.low = percentile(measured, 0.1);
  times.high = percentile(measured, 0.9);
  return times;
}

double Timer::copy_bandwidth() {
  const int64_t half = flushed_.bytes() / 2;
  char *memory = reinterpret_cast<char *>(flushed_.data());
  const Times times =
      measure([&] { return vbl_memcpy(stream_, memory + half, memory, half); }, false, false);
  return 2e-3 * static_cast<double>(half) / times.median;
}

}  // namespace bench
