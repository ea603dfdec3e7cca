// What scattered accesses cost at least: a GPU's memory is read and written in sectors of 32 bytes.
#pragma once
#include <cstdint>

namespace bench {

// The sectors that elements of four bytes lie in, of an array that begins `shift` elements behind a sector's begin.
class Sectors {
 public:
  explicit Sectors(int64_t shift) : shift_(shift) {}

  // at: an element, never one before the last.
  void add(int64_t at) {
    const int64_t sector = (shift_ + at) / kElements;
    count_ += sector != last_;
    last_ = sector;
  }
  double bytes() const { return 4.0 * kElements * static_cast<double>(count_); }

  static constexpr int64_t kElements = 8;  // of a sector

 private:
  int64_t shift_, last_ = -1, count_ = 0;
};

}  // namespace bench
