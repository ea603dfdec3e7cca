// Memory of a device, copies and fills.
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "runtime/stream.h"

namespace {

// Each block is preceded by its size, in a header as long as the alignment.
constexpr int64_t kAlignment = 64;
std::atomic<int64_t> allocated_bytes{0};

}  // namespace

extern "C" vbl_status vbl_malloc(int32_t device, int64_t bytes, void **memory) {
  VBL_REQUIRE_POINTER(memory);
  *memory = nullptr;
  VBL_REQUIRE(bytes >= 0, "vbl_malloc: bytes must not be negative, found %lld", static_cast<long long>(bytes));
  if (device != VBL_DEVICE_CPU)
    return vbl::fail(VBL_UNSUPPORTED, "this version has no CUDA memory yet: use the CPU device");
  if (bytes > INT64_MAX - 2 * kAlignment)
    return vbl::fail(VBL_OUT_OF_MEMORY, "%lld bytes of host memory are not to be had", static_cast<long long>(bytes));
  const int64_t total = (bytes + 2 * kAlignment - 1) / kAlignment * kAlignment;
  void *block = std::aligned_alloc(kAlignment, static_cast<size_t>(total));
  if (block == nullptr)
    return vbl::fail(VBL_OUT_OF_MEMORY, "%lld bytes of host memory are not to be had", static_cast<long long>(bytes));
  *static_cast<int64_t *>(block) = bytes;
  allocated_bytes += bytes;
  *memory = static_cast<char *>(block) + kAlignment;
  return VBL_OK;
}

extern "C" vbl_status vbl_free(int32_t device, void *memory) {
  if (memory == nullptr) return VBL_OK;
  if (device != VBL_DEVICE_CPU)
    return vbl::fail(VBL_UNSUPPORTED, "this version has no CUDA memory yet: use the CPU device");
  void *block = static_cast<char *>(memory) - kAlignment;
  allocated_bytes -= *static_cast<int64_t *>(block);
  std::free(block);
  return VBL_OK;
}

extern "C" int64_t vbl_allocated_bytes(void) { return allocated_bytes; }

extern "C" vbl_status vbl_memcpy(vbl_stream *stream, void *destination, const void *source, int64_t bytes) {
  VBL_REQUIRE_CPU(stream);
  VBL_REQUIRE(bytes >= 0, "vbl_memcpy: bytes must not be negative, found %lld", static_cast<long long>(bytes));
  if (bytes == 0) return VBL_OK;
  VBL_REQUIRE_POINTER(destination);
  VBL_REQUIRE_POINTER(source);
  vbl::parallel_for(stream, bytes, 1 << 22, [&](int64_t begin, int64_t end) {
    std::memcpy(static_cast<char *>(destination) + begin, static_cast<const char *>(source) + begin,
                static_cast<size_t>(end - begin));
  });
  return VBL_OK;
}

extern "C" vbl_status vbl_memset(vbl_stream *stream, void *destination, int32_t value, int64_t bytes) {
  VBL_REQUIRE_CPU(stream);
  VBL_REQUIRE(bytes >= 0, "vbl_memset: bytes must not be negative, found %lld", static_cast<long long>(bytes));
  if (bytes == 0) return VBL_OK;
  VBL_REQUIRE_POINTER(destination);
  vbl::parallel_for(stream, bytes, 1 << 22, [&](int64_t begin, int64_t end) {
    std::memset(static_cast<char *>(destination) + begin, value, static_cast<size_t>(end - begin));
  });
  return VBL_OK;
}
