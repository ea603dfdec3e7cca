// Device memory, and the timing of ops on one stream.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "vblora/vblora.h"

namespace bench {

// Ends the program with the library's message if a call failed.
void require(vbl_status status, const char *what);

// Memory of a stream's device.
template <typename T>
class Array {
 public:
  Array(vbl_stream *stream, int64_t n) : device_(vbl_stream_device(stream)), n_(n) {
    void *memory = nullptr;
    require(vbl_malloc(device_, n * static_cast<int64_t>(sizeof(T)), &memory), "memory");
    data_ = static_cast<T *>(memory);
  }
  Array(vbl_stream *stream, const std::vector<T> &values) : Array(stream, static_cast<int64_t>(values.size())) {
    set(values, 0);
  }
  ~Array() { vbl_free(device_, data_); }
  Array(const Array &) = delete;
  Array &operator=(const Array &) = delete;

  T *data() const { return data_; }
  int64_t size() const { return n_; }
  int64_t bytes() const { return n_ * static_cast<int64_t>(sizeof(T)); }
  void set(const std::vector<T> &values, int64_t offset) {
    require(vbl_memcpy_blocking(device_, data_ + offset, values.data(),
                                static_cast<int64_t>(values.size() * sizeof(T))), "a copy to the device");
  }
  void clear() { require(vbl_memset_blocking(device_, data_, 0, bytes()), "a fill"); }

 private:
  int32_t device_;
  int64_t n_;
  T *data_ = nullptr;
};

struct Times {
  bool supported = true;  // false: the op does not exist on this device
  double median = 0, low = 0, high = 0;  // microseconds: 50th, 10th and 90th percentile
};

using Op = std::function<vbl_status()>;

class Timer {
 public:
  // flush_bytes are read before a repetition that is to find its inputs outside the caches.
  Timer(vbl_stream *stream, int repetitions, int64_t flush_bytes);
  ~Timer();
  Timer(const Timer &) = delete;
  Timer &operator=(const Timer &) = delete;

  // Times an op by events, launched one by one or, on CUDA, as a captured graph.
  Times measure(const Op &op, bool graph, bool cold);
  // Bytes read and written per second, in units of 10^9, by a copy within the device.
  double copy_bandwidth();

 private:
  void flush();

  vbl_stream *stream_;
  int repetitions_;
  Array<float> flushed_;
  Array<double> sum_;
  Array<char> scratch_;
  vbl_event *start_ = nullptr, *end_ = nullptr;
};

}  // namespace bench
