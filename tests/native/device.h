// One table of cases for all devices: test bodies that run on the CPU and, where there is one, on a CUDA device.
//
//   TEST(scales) {
//     check::for_each_device([](vbl_stream *stream) {
//       check::Array<float> x(stream, {1, 2, 3});
//       CHECK_STATUS(VBL_OK, vbl_scale(stream, 3, 2.0f, x.data()));
//       CHECK((x.get() == std::vector<float>{2, 4, 6}));
//     });
//   }
#pragma once
#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

#include "check.h"

namespace check {

// n elements in the memory of a stream's device, `shift` elements behind a 16-byte boundary at least. The memory ends
// with the last element, so that a sanitizer sees an access behind it.
template <typename T>
class Array {
 public:
  Array(vbl_stream *stream, const std::vector<T> &values, int64_t shift = 0)
      : stream_(stream), n_(static_cast<int64_t>(values.size())), shift_(shift) {
    const int64_t bytes = (shift_ + n_) * static_cast<int64_t>(sizeof(T));
    if (on_cpu()) {  // not vbl_malloc, which rounds up
      memory_ = static_cast<T *>(std::malloc(static_cast<size_t>(bytes)));
    } else {
      void *memory = nullptr;
      CHECK_STATUS(VBL_OK, vbl_malloc(vbl_stream_device(stream), bytes, &memory));
      memory_ = static_cast<T *>(memory);
    }
    if (memory_ == nullptr && bytes > 0) {
      std::fprintf(stderr, "no memory for a test's array: %s\n", vbl_last_error());
      std::abort();
    }
    set(values);
  }
  Array(vbl_stream *stream, int64_t n, T value, int64_t shift = 0)
      : Array(stream, std::vector<T>(static_cast<size_t>(n), value), shift) {}
  Array(Array &&other) noexcept : stream_(other.stream_), n_(other.n_), shift_(other.shift_), memory_(other.memory_) {
    other.memory_ = nullptr;
  }
  Array &operator=(Array &&other) noexcept {
    std::swap(stream_, other.stream_);
    std::swap(n_, other.n_);
    std::swap(shift_, other.shift_);
    std::swap(memory_, other.memory_);
    return *this;
  }
  ~Array() {
    if (on_cpu()) {
      std::free(memory_);
    } else {
      vbl_free(vbl_stream_device(stream_), memory_);
    }
  }

  T *data() const { return memory_ + shift_; }
  int64_t size() const { return n_; }

  // Waits for the stream's work.
  std::vector<T> get() const {
    std::vector<T> values(static_cast<size_t>(n_));
    CHECK_STATUS(VBL_OK, vbl_memcpy(stream_, values.data(), data(), n_ * static_cast<int64_t>(sizeof(T))));
    CHECK_STATUS(VBL_OK, vbl_stream_synchronize(stream_));
    return values;
  }
  void set(const std::vector<T> &values) {
    CHECK_STATUS(VBL_OK, vbl_memcpy(stream_, data(), values.data(), n_ * static_cast<int64_t>(sizeof(T))));
    CHECK_STATUS(VBL_OK, vbl_stream_synchronize(stream_));
  }

 private:
  bool on_cpu() const { return vbl_stream_device(stream_) == VBL_DEVICE_CPU; }

  vbl_stream *stream_;
  int64_t n_, shift_;
  T *memory_ = nullptr;
};

// Calls body(stream) with a stream of CUDA device 0, if there is one.
template <typename Body>
void on_cuda(const Body &body) {
  int32_t count = 0;
  if (vbl_cuda_device_count(&count) != VBL_OK || count == 0) return;
  vbl_stream *stream = nullptr;
  CHECK_STATUS(VBL_OK, vbl_stream_create(0, 0, &stream));
  set_device_name("CUDA device 0");
  body(stream);
  CHECK_STATUS(VBL_OK, vbl_stream_destroy(stream));
  set_device_name("");
}

// Calls body(stream) for each device: the CPU, with two threads, and CUDA device 0.
template <typename Body>
void for_each_device(const Body &body) {
  set_device_name("the CPU");
  body(static_cast<vbl_stream *>(CpuStream(2)));
  set_device_name("");
  on_cuda(body);
}

}  // namespace check
