// Device memory, and the timing of ops on one stream.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "vblora/vblora.h"

namespace bench {

// What is being done from now on, for messages; "" for nothing in particular.
void doing(const std::string &what);
// Ends the program with the library's message if a call failed.
void require(vbl_status status, const char *what);

// Bytes that no float is: NaN in float32, bfloat16 and float16. And bytes of an integer that no op writes.
constexpr int32_t kNoNumber = 0xFF, kNoInteger = 0x7B;

// Memory of a stream's device between two guard zones, in which nothing may be written. Filled with what is no number:
// kernels that load 16 bytes at a time read elements behind the last one that counts, which must have been written.
class Memory {
 public:
  // The memory begins shift_bytes behind a 64-byte boundary.
  Memory(vbl_stream *stream, int64_t bytes, int64_t shift_bytes);
  ~Memory();
  Memory(const Memory &) = delete;
  Memory &operator=(const Memory &) = delete;

  int64_t bytes() const { return bytes_; }
  void fill(int32_t byte);
  void read(void *host) const { read(host, 0, bytes_); }
  void read(void *host, int64_t offset, int64_t bytes) const;  // once the device has done its work
  void write(const void *host, int64_t offset, int64_t bytes);
  // Whether the guard zones were as they should be; they are so afterwards.
  bool mend_guards();

 protected:
  char *memory() const { return base_ + front_; }

 private:
  int32_t device_;
  int64_t front_, bytes_;
  char *base_ = nullptr;
};

template <typename T>
class Array : public Memory {
 public:
  // shift: elements by which the array is off a 64-byte boundary.
  Array(vbl_stream *stream, int64_t n, int64_t shift = 0)
      : Memory(stream, n * static_cast<int64_t>(sizeof(T)), shift * static_cast<int64_t>(sizeof(T))), n_(n) {}
  Array(vbl_stream *stream, const std::vector<T> &values, int64_t shift = 0)
      : Array(stream, static_cast<int64_t>(values.size()), shift) {
    set(values, 0);
  }

  T *data() const { return reinterpret_cast<T *>(memory()); }
  int64_t size() const { return n_; }
  void set(const std::vector<T> &values, int64_t offset) {
    write(values.data(), offset * static_cast<int64_t>(sizeof(T)), static_cast<int64_t>(values.size() * sizeof(T)));
  }
  std::vector<T> get() const { return get(0, n_); }
  std::vector<T> get(int64_t offset, int64_t n) const {
    std::vector<T> values(static_cast<size_t>(n));
    read(values.data(), offset * static_cast<int64_t>(sizeof(T)), n * static_cast<int64_t>(sizeof(T)));
    return values;
  }
  void clear() { fill(0); }

 private:
  int64_t n_;
};

struct Times {
  bool supported = true;                 // false: the op does not exist on this device
  double median = 0, low = 0, high = 0;  // microseconds: 50th, 10th and 90th percentile
  bool waited = false;                   // for the host: mostly, the device began before all was submitted
};

using Op = std::function<vbl_status()>;

// How much is done to time something.
struct Effort {
  int repetitions;
  int64_t flush_bytes;  // read before a repetition that is to find its inputs outside the caches
  int64_t copy_bytes;   // of the two arrays that the yardstick copies between, or what there is room for
  double copy_seconds;  // of copying, before the yardstick is measured: clocks rise under load
  int busy_launches;    // on CUDA, of a kernel of one element: work for the device while the host submits what is timed
};

class Timer {
 public:
  Timer(vbl_stream *stream, const Effort &effort);
  ~Timer();
  Timer(const Timer &) = delete;
  Timer &operator=(const Timer &) = delete;

  // Times an op by events, launched one by one or, on CUDA, as a captured graph, behind other work in the stream.
  // prepare, unless empty: gives the op its input anew before each repetition, outside of what is timed.
  Times measure(const Op &op, bool graph, bool cold, const Op &prepare);
  // Bytes read and written per second, in units of 10^9, by a copy within the device: the yardstick.
  double copy_bandwidth();
  // What launching a kernel costs the host, which it does not wait for; in a graph, per kernel of one that holds many.
  Times launch(bool graph);

 private:
  void flush();
  vbl_graph *capture(const std::function<void()> &work);
  void burst(int launches);
  Times summary(std::vector<double> measured) const;

  vbl_stream *stream_;
  Effort effort_;
  int warm_ups_;
  Array<float> flushed_;
  Array<double> sum_;
  Array<char> scratch_;
  vbl_event *start_ = nullptr, *end_ = nullptr;
  vbl_graph *busy_ = nullptr;
};

}  // namespace bench
