// Memory of a device, copies and fills.
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <unordered_map>

#include "runtime/stream.h"

namespace {

// Each block of the host is preceded by its size, in a header as long as the alignment.
constexpr int64_t kAlignment = 64;
std::atomic<int64_t> allocated_bytes{0};

// The sizes of blocks that have no room for them: CUDA's.
class Sizes {
 public:
  void add(int32_t device, void *memory, int64_t bytes) {
    const std::lock_guard<std::mutex> lock(mutex_);
    blocks_[memory] = {device, bytes};
  }
  // -1 if the device has no such block.
  int64_t take(int32_t device, void *memory) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = blocks_.find(memory);
    if (found == blocks_.end() || found->second.device != device) return -1;
    const int64_t bytes = found->second.bytes;
    blocks_.erase(found);
    return bytes;
  }

 private:
  struct Block {
    int32_t device;
    int64_t bytes;
  };
  std::mutex mutex_;
  std::unordered_map<void *, Block> blocks_;
};

Sizes &cuda_sizes() {
  static Sizes *const sizes = new Sizes;  // outlives whatever frees memory at exit
  return *sizes;
}

vbl_status host_malloc(int64_t bytes, void **memory) {
  const auto refused = [&] {
    return vbl::fail(VBL_OUT_OF_MEMORY, "%lld bytes of host memory are not to be had", static_cast<long long>(bytes));
  };
  if (bytes > INT64_MAX - 2 * kAlignment) return refused();
  const int64_t total = (bytes + 2 * kAlignment - 1) / kAlignment * kAlignment;
  void *block = std::aligned_alloc(kAlignment, static_cast<size_t>(total));
  if (block == nullptr) return refused();
  *static_cast<int64_t *>(block) = bytes;
  allocated_bytes += bytes;
  *memory = static_cast<char *>(block) + kAlignment;
  return VBL_OK;
}

vbl_status host_free(void *memory) {
  void *block = static_cast<char *>(memory) - kAlignment;
  allocated_bytes -= *static_cast<int64_t *>(block);
  std::free(block);
  return VBL_OK;
}

}  // namespace

extern "C" vbl_status vbl_malloc(int32_t device, int64_t bytes, void **memory) {
  return vbl::guarded([&]() -> vbl_status {
    VBL_REQUIRE_NOT_NULL(memory);
    *memory = nullptr;
    VBL_REQUIRE(bytes >= 0, "vbl_malloc: bytes must not be negative, found %lld", static_cast<long long>(bytes));
    if (device == VBL_DEVICE_CPU) return host_malloc(bytes, memory);
    VBL_TRY(VBL_CUDA(vbl::cuda::allocate(device, bytes, memory)));
    cuda_sizes().add(device, *memory, bytes);
    allocated_bytes += bytes;
    return VBL_OK;
  });
}

extern "C" vbl_status vbl_free(int32_t device, void *memory) {
  return vbl::guarded([&]() -> vbl_status {
    if (memory == nullptr) return VBL_OK;
    if (device == VBL_DEVICE_CPU) return host_free(memory);
    const int64_t bytes = cuda_sizes().take(device, memory);
    VBL_REQUIRE(bytes >= 0, "vbl_free: %p does not come from vbl_malloc for device %d", memory, device);
    allocated_bytes -= bytes;
    return VBL_CUDA(vbl::cuda::release(device, memory));
  });
}

extern "C" int64_t vbl_allocated_bytes(void) { return allocated_bytes; }

extern "C" vbl_status vbl_memcpy(vbl_stream *stream, void *destination, const void *source, int64_t bytes) {
  VBL_REQUIRE_NOT_NULL(stream);
  VBL_REQUIRE(bytes >= 0, "vbl_memcpy: bytes must not be negative, found %lld", static_cast<long long>(bytes));
  if (bytes == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(destination, source);
  VBL_ON_CUDA(stream, vbl::cuda::copy(stream, destination, source, bytes));
  vbl::parallel_for(stream, bytes, 1 << 22, [&](int64_t begin, int64_t end) {
    std::memcpy(static_cast<char *>(destination) + begin, static_cast<const char *>(source) + begin,
                static_cast<size_t>(end - begin));
  });
  return VBL_OK;
}

extern "C" vbl_status vbl_memcpy_blocking(int32_t device, void *destination, const void *source, int64_t bytes) {
  VBL_REQUIRE(bytes >= 0, "%s: bytes must not be negative, found %lld", __func__, static_cast<long long>(bytes));
  if (bytes == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(destination, source);
  if (device != VBL_DEVICE_CPU) return VBL_CUDA(vbl::cuda::copy_blocking(device, destination, source, bytes));
  std::memcpy(destination, source, static_cast<size_t>(bytes));
  return VBL_OK;
}

extern "C" vbl_status vbl_memset_blocking(int32_t device, void *destination, int32_t value, int64_t bytes) {
  VBL_REQUIRE(bytes >= 0, "%s: bytes must not be negative, found %lld", __func__, static_cast<long long>(bytes));
  if (bytes == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(destination);
  if (device != VBL_DEVICE_CPU) return VBL_CUDA(vbl::cuda::fill_blocking(device, destination, value, bytes));
  std::memset(destination, value, static_cast<size_t>(bytes));
  return VBL_OK;
}

extern "C" vbl_status vbl_memset(vbl_stream *stream, void *destination, int32_t value, int64_t bytes) {
  VBL_REQUIRE_NOT_NULL(stream);
  VBL_REQUIRE(bytes >= 0, "vbl_memset: bytes must not be negative, found %lld", static_cast<long long>(bytes));
  if (bytes == 0) return VBL_OK;
  VBL_REQUIRE_NOT_NULL(destination);
  VBL_ON_CUDA(stream, vbl::cuda::fill(stream, destination, value, bytes));
  vbl::parallel_for(stream, bytes, 1 << 22, [&](int64_t begin, int64_t end) {
    std::memset(static_cast<char *>(destination) + begin, value, static_cast<size_t>(end - begin));
  });
  return VBL_OK;
}
