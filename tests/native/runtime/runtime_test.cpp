// Streams, memory, conversions and files.
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "check.h"

namespace {

// Conversions by the definition: the nearest representable value, ties to the even pattern, found by search.
float half_value(uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double sign = bits >> 15 ? -1 : 1;
  if (exponent == 31) return static_cast<float>(fraction ? NAN : sign * INFINITY);
  return static_cast<float>(sign * (exponent ? std::ldexp(1024 + fraction, exponent - 25) : std::ldexp(fraction, -24)));
}

uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

float float_of(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace

TEST(every_float16_widens_exactly_and_narrows_back) {
  check::CpuStream stream;
  std::vector<uint16_t> half(65536), back(65536);
  std::vector<float> wide(65536);
  for (int i = 0; i < 65536; ++i) half[i] = static_cast<uint16_t>(i);
  CHECK_STATUS(VBL_OK, vbl_convert(stream, 65536, half.data(), VBL_FLOAT16, wide.data(), VBL_FLOAT32));
  CHECK_STATUS(VBL_OK, vbl_convert(stream, 65536, wide.data(), VBL_FLOAT32, back.data(), VBL_FLOAT16));
  for (int i = 0; i < 65536; ++i) {
    const float expected = half_value(half[i]);
    if (std::isnan(expected)) {
      CHECK(std::isnan(wide[i]) && std::isnan(half_value(back[i])));
    } else {
      CHECK(bits_of(wide[i]) == bits_of(expected) && back[i] == half[i]);
    }
  }
}

TEST(narrowing_rounds_to_nearest_even) {
  check::CpuStream stream;
  std::vector<float> value;
  for (int i = 0; i < 0x7c00; ++i) {  // around every midpoint between neighbouring float16 numbers
    const float low = half_value(static_cast<uint16_t>(i));
    const float high = i + 1 == 0x7c00 ? 65536.0f : half_value(static_cast<uint16_t>(i + 1));
    const float middle = (low + high) / 2;
    value.insert(value.end(), {middle, std::nextafter(middle, 0.0f), std::nextafter(middle, INFINITY)});
  }
  const int64_t n = static_cast<int64_t>(value.size());
  std::vector<uint16_t> half(value.size());
  CHECK_STATUS(VBL_OK, vbl_convert(stream, n, value.data(), VBL_FLOAT32, half.data(), VBL_FLOAT16));
  for (int i = 0; i < 0x7c00; ++i) {
    CHECK(half[3 * i] == i + (i & 1));
    CHECK(half[3 * i + 1] == i);
    CHECK(half[3 * i + 2] == i + 1);
  }

  check::Random random(check::seed());
  std::vector<float> any(4099);
  for (float &x : any) x = float_of(static_cast<uint32_t>(random.next()));
  any[0] = float_of(0x3f808000), any[1] = float_of(0x3f818000), any[2] = NAN, any[3] = -INFINITY, any[4] = float_of(0x7f7fffff);
  std::vector<uint16_t> brain(any.size());
  CHECK_STATUS(VBL_OK, vbl_convert(stream, static_cast<int64_t>(any.size()), any.data(), VBL_FLOAT32, brain.data(), VBL_BFLOAT16));
  for (size_t i = 0; i < any.size(); ++i) {
    const uint32_t bits = bits_of(any[i]), low = bits >> 16, rest = bits & 0xffff;
    const uint32_t expected = low + (rest > 0x8000 || (rest == 0x8000 && (low & 1)) ? 1 : 0);
    if (std::isnan(any[i])) {
      CHECK(std::isnan(float_of(static_cast<uint32_t>(brain[i]) << 16)));
    } else {
      CHECK(brain[i] == expected);
    }
  }
}

TEST(every_task_of_a_loop_runs_once_however_loops_follow_each_other) {
  check::Random random(check::seed());
  for (const int32_t threads : {1, 2, 3, 8}) {
    check::CpuStream stream(threads);
    for (int loop = 0; loop < 60; ++loop) {
      // Loops of one piece to several, with and without a pause in which the threads fall asleep.
      const int64_t n = random.between(1, 700000);
      std::vector<float> source(static_cast<size_t>(n), static_cast<float>(loop)), destination(source.size(), -1);
      CHECK_STATUS(VBL_OK, vbl_convert(stream, n, source.data(), VBL_FLOAT32, destination.data(), VBL_FLOAT32));
      CHECK(destination == source);
      if (loop % 20 == 0) usleep(2000);
    }
  }
}

TEST(memory_is_aligned_and_counted) {
  const int64_t before = vbl_allocated_bytes();
  void *memory = nullptr;
  CHECK_STATUS(VBL_OK, vbl_malloc(VBL_DEVICE_CPU, 1000, &memory));
  CHECK(reinterpret_cast<uintptr_t>(memory) % 64 == 0);
  CHECK(vbl_allocated_bytes() == before + 1000);
  std::memset(memory, 1, 1000);
  CHECK_STATUS(VBL_OK, vbl_free(VBL_DEVICE_CPU, memory));
  CHECK(vbl_allocated_bytes() == before);
  CHECK_STATUS(VBL_OUT_OF_MEMORY, vbl_malloc(VBL_DEVICE_CPU, INT64_MAX, &memory));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_malloc(VBL_DEVICE_CPU, -1, &memory));
}

TEST(memory_is_copied_and_set_in_every_byte) {
  check::Random random(check::seed() + 1);
  for (int32_t threads : {1, 2, 3}) {
    check::CpuStream stream(threads);
    for (int64_t bytes : {1, 63, 4097, (1 << 22) + 5, (3 << 22) + 1}) {
      std::vector<unsigned char> source(static_cast<size_t>(bytes)), destination(source.size() + 2, 7);
      for (unsigned char &byte : source) byte = static_cast<unsigned char>(random.next());
      CHECK_STATUS(VBL_OK, vbl_memcpy(stream, destination.data() + 1, source.data(), bytes));
      CHECK(std::memcmp(destination.data() + 1, source.data(), source.size()) == 0);
      CHECK(destination.front() == 7 && destination.back() == 7);
      CHECK_STATUS(VBL_OK, vbl_memset(stream, destination.data() + 1, 0x1ab, bytes));  // as memset: the low byte
      CHECK(destination.front() == 7 && destination.back() == 7);
      destination.front() = destination.back() = 0xab;
      CHECK(destination == std::vector<unsigned char>(destination.size(), 0xab));
    }
  }
}

TEST(copies_and_fills_refuse_what_they_cannot_take) {
  check::CpuStream stream;
  char a[2] = {1, 2}, b[2] = {3, 4};
  CHECK_STATUS(VBL_OK, vbl_memcpy(stream, nullptr, nullptr, 0));
  CHECK_STATUS(VBL_OK, vbl_memset(stream, nullptr, 0, 0));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_memcpy(stream, a, b, -1));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_memcpy(stream, nullptr, b, 2));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_memcpy(stream, a, nullptr, 2));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_memcpy(nullptr, a, b, 2));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_memset(stream, a, 0, -1));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_memset(stream, nullptr, 0, 2));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_memset(nullptr, a, 0, 2));
  CHECK(a[0] == 1 && a[1] == 2 && b[0] == 3 && b[1] == 4);
}

TEST(a_cut_file_is_an_error) {
  const char *folder = std::getenv("TMPDIR");
  std::string path = std::string(folder != nullptr ? folder : P_tmpdir) + "/vblora-file-XXXXXX";
  const int descriptor = mkstemp(path.data());
  CHECK(descriptor >= 0);
  CHECK(write(descriptor, "0123456789", 10) == 10);
  vbl_file *file = nullptr;
  CHECK_STATUS(VBL_OK, vbl_file_open(path.c_str(), &file));
  CHECK(vbl_file_size(file) == 10);
  char buffer[4] = {};
  CHECK_STATUS(VBL_OK, vbl_file_read(file, 6, buffer, 4));
  CHECK(std::memcmp(buffer, "6789", 4) == 0);
  CHECK_STATUS(VBL_IO_ERROR, vbl_file_read(file, 7, buffer, 4));
  CHECK(ftruncate(descriptor, 5) == 0);
  CHECK_STATUS(VBL_IO_ERROR, vbl_file_read(file, 6, buffer, 4));
  CHECK_STATUS(VBL_OK, vbl_file_close(file));
  close(descriptor);
  unlink(path.c_str());
  CHECK_STATUS(VBL_IO_ERROR, vbl_file_open(path.c_str(), &file));
  CHECK_STATUS(VBL_IO_ERROR, vbl_file_open("/", &file));
}

TEST(streams_refuse_what_they_cannot_be) {
  vbl_stream *stream = nullptr;
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_stream_create(VBL_DEVICE_CPU, -1, &stream));
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_stream_create(VBL_DEVICE_CPU, 0, nullptr));
  CHECK(stream == nullptr && std::strlen(vbl_last_error()) > 0);
  CHECK_STATUS(VBL_OK, vbl_stream_create(VBL_DEVICE_CPU, 0, &stream));
  CHECK(vbl_stream_threads(stream) >= 1);
  CHECK_STATUS(VBL_OK, vbl_stream_destroy(stream));
  CHECK_STATUS(VBL_OK, vbl_stream_destroy(nullptr));
}

TEST(streams_know_their_device_and_threads) {
  vbl_stream *stream = nullptr;
  CHECK_STATUS(VBL_OK, vbl_stream_create(VBL_DEVICE_CPU, 3, &stream));
  CHECK(vbl_stream_device(stream) == VBL_DEVICE_CPU && vbl_stream_threads(stream) == 3);
  CHECK_STATUS(VBL_OK, vbl_stream_synchronize(stream));
  CHECK_STATUS(VBL_OK, vbl_stream_destroy(stream));
  CHECK(vbl_stream_device(nullptr) == VBL_DEVICE_CPU && vbl_stream_threads(nullptr) == 0);
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_stream_synchronize(nullptr));
}

TEST(cuda_is_there_with_a_device_or_absent_with_a_reason) {
  CHECK(vbl_cuda_compiled() == VBLORA_TEST_WITH_CUDA);  // what CMake found
  int32_t count = -1;
  if (vbl_cuda_device_count(&count) == VBL_OK) {
    CHECK(count > 0 && vbl_cuda_compiled() == 1);
  } else {
    CHECK(count == 0 && std::strlen(vbl_last_error()) > 0);
    CHECK((std::strstr(vbl_last_error(), "built without nvcc") != nullptr) == (vbl_cuda_compiled() == 0));
  }
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_cuda_device_count(nullptr));
  // No device is number `count`, and none is negative but the CPU's.
  for (int32_t device : {count, -2}) {
    vbl_stream *stream = nullptr;
    const vbl_status status = vbl_stream_create(device, 1, &stream);
    CHECK(status == VBL_NO_DEVICE && stream == nullptr);
  }
}
