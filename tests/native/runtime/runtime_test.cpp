// Streams, memory and files.
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "check.h"

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
  CHECK((std::strcmp(vbl_cuda_architectures(), "none") == 0) == (vbl_cuda_compiled() == 0));
  int32_t count = -1;
  if (vbl_cuda_device_count(&count) == VBL_OK) {
    CHECK(count > 0 && vbl_cuda_compiled() == 1);
  } else {
    CHECK(count == 0 && std::strlen(vbl_last_error()) > 0);
    CHECK((std::strstr(vbl_last_error(), "built without CUDA code") != nullptr) == (vbl_cuda_compiled() == 0));
    // The runtime says so where there is no driver at all, and of no versions.
    CHECK(std::strstr(vbl_last_error(), "driver version is insufficient") == nullptr);
  }
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_cuda_device_count(nullptr));
  vbl_cuda_properties properties = {};
  for (int32_t device = 0; device < count; ++device) {
    CHECK_STATUS(VBL_OK, vbl_cuda_device_properties(device, &properties));
    CHECK(std::strlen(properties.name) > 0 && std::strlen(properties.name) < sizeof properties.name);
    CHECK(properties.major >= 5 && properties.minor >= 0 && properties.multiprocessors > 0);
    CHECK(properties.memory_bytes > 0 && properties.l2_bytes > 0);
    properties = {};
  }
  for (const int32_t device : {count, -1}) CHECK_STATUS(VBL_NO_DEVICE, vbl_cuda_device_properties(device, &properties));
  CHECK(properties.name[0] == 0 && properties.major == 0);
  CHECK_STATUS(VBL_INVALID_ARGUMENT, vbl_cuda_device_properties(0, nullptr));
  // No device is number `count`, and none is negative but the CPU's.
  for (int32_t device : {count, -2}) {
    vbl_stream *stream = nullptr;
    const vbl_status status = vbl_stream_create(device, 1, &stream);
    CHECK(status == VBL_NO_DEVICE && stream == nullptr);
  }
}
