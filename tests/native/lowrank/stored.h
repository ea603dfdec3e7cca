// Numbers as they lie in memory in one of the dtypes.
#pragma once
#include <vector>

#include "device.h"

namespace check {

class Stored {
 public:
  Stored() = default;
  // Rounds to the dtype.
  Stored(const std::vector<float> &values, int32_t dtype)
      : dtype_(dtype), bytes_(values.size() * static_cast<size_t>(width())) {
    CHECK_STATUS(VBL_OK, vbl_convert(CpuStream(1), size(), values.data(), VBL_FLOAT32, bytes_.data(), dtype));
  }
  Stored(std::vector<unsigned char> bytes, int32_t dtype) : dtype_(dtype), bytes_(std::move(bytes)) {}

  int64_t size() const { return static_cast<int64_t>(bytes_.size()) / width(); }
  const std::vector<unsigned char> &bytes() const { return bytes_; }
  std::vector<float> values() const {
    std::vector<float> values(static_cast<size_t>(size()));
    CHECK_STATUS(VBL_OK, vbl_convert(CpuStream(1), size(), bytes_.data(), dtype_, values.data(), VBL_FLOAT32));
    return values;
  }
  Stored part(int64_t first, int64_t n) const {
    const auto begin = bytes_.begin() + first * width();
    return Stored(std::vector<unsigned char>(begin, begin + n * width()), dtype_);
  }
  // On a device, `shift` elements behind a 16-byte boundary.
  Array<unsigned char> on(vbl_stream *stream, int64_t shift = 0) const {
    return Array<unsigned char>(stream, bytes_, shift * width());
  }

 private:
  int64_t width() const { return dtype_ == VBL_FLOAT32 ? 4 : 2; }

  int32_t dtype_ = VBL_FLOAT32;
  std::vector<unsigned char> bytes_;
};

}  // namespace check
