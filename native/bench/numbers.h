// Arrays of numbers in any of the dtypes.
#pragma once
#include <cstdint>
#include <vector>

#include "cases.h"
#include "reference.h"

namespace bench {

// Random numbers of a normal distribution in one of the dtypes.
class Numbers : public Array<char> {
 public:
  Numbers(vbl_stream *stream, int64_t n, int32_t dtype, int64_t shift, Random &random, float scale)
      : Array<char>(stream, n * width(dtype), shift * width(dtype)), n_(n), dtype_(dtype) {
    Array<float> floats(stream, n);
    fill_normal(floats, random, scale);
    require(vbl_convert(stream, n, floats.data(), VBL_FLOAT32, data(), dtype), "vbl_convert");
    require(vbl_stream_synchronize(stream), "vbl_convert");
  }

  std::vector<double> values() const {
    std::vector<double> wide(static_cast<size_t>(n_));
    if (dtype_ == VBL_FLOAT32) {
      std::vector<float> found(wide.size());
      read(found.data());
      wide.assign(found.begin(), found.end());
    } else {
      std::vector<uint16_t> found(wide.size());
      read(found.data());
      for (size_t i = 0; i < wide.size(); ++i) wide[i] = reference::widened(found[i], dtype_);
    }
    return wide;
  }

 private:
  static int64_t width(int32_t dtype) { return dtype == VBL_FLOAT32 ? 4 : 2; }

  int64_t n_;
  int32_t dtype_;
};

}  // namespace bench
