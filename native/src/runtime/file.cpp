// Files read with pread into the caller's memory. Not mapped: a file cut short while mapped kills the process.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runtime/error.h"
#include "vblora/runtime.h"

struct vbl_file {
  int descriptor;
  int64_t size;
};

extern "C" vbl_status vbl_file_open(const char *path, vbl_file **file) {
  return vbl::guarded([&]() -> vbl_status {
    VBL_REQUIRE_NOT_NULL(path, file);
    *file = nullptr;
    const int descriptor = ::open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return vbl::fail(VBL_IO_ERROR, "%s: cannot be opened: %s", path, std::strerror(errno));
    struct stat information;
    if (::fstat(descriptor, &information) != 0 || !S_ISREG(information.st_mode)) {
      ::close(descriptor);
      return vbl::fail(VBL_IO_ERROR, "%s: is not a regular file", path);
    }
    *file = new vbl_file{descriptor, static_cast<int64_t>(information.st_size)};
    return VBL_OK;
  });
}

extern "C" vbl_status vbl_file_close(vbl_file *file) {
  if (file != nullptr) ::close(file->descriptor);
  delete file;
  return VBL_OK;
}

extern "C" int64_t vbl_file_size(const vbl_file *file) { return file != nullptr ? file->size : 0; }

extern "C" vbl_status vbl_file_read(vbl_file *file, int64_t offset, void *destination, int64_t bytes) {
  VBL_REQUIRE_NOT_NULL(file);
  VBL_REQUIRE(offset >= 0 && bytes >= 0, "vbl_file_read: offset and bytes must not be negative, found %lld and %lld",
              static_cast<long long>(offset), static_cast<long long>(bytes));
  VBL_REQUIRE(bytes == 0 || destination != nullptr, "vbl_file_read: destination must not be NULL");
  char *to = static_cast<char *>(destination);
  while (bytes > 0) {
    const size_t piece = bytes < (1 << 30) ? static_cast<size_t>(bytes) : static_cast<size_t>(1) << 30;
    const ssize_t got = ::pread(file->descriptor, to, piece, offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      return vbl::fail(VBL_IO_ERROR, "read at offset %lld failed: %s", static_cast<long long>(offset),
                       std::strerror(errno));
    if (got == 0)
      return vbl::fail(VBL_IO_ERROR, "the file ends at offset %lld, %lld bytes before it should",
                       static_cast<long long>(offset), static_cast<long long>(bytes));
    to += got;
    offset += got;
    bytes -= got;
  }
  return VBL_OK;
}
