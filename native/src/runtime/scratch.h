// Scratch memory: one block from the caller, cut into arrays.
//
// An op lays its arrays out in one function of a Scratch&, which its ..._scratch_bytes query runs on no memory:
//     struct Buffers { double *partial; };
//     Buffers lay_out(Scratch &scratch, int64_t n) { return {scratch.take<double>(n)}; }
// so that what is asked for and what is used cannot disagree.
#pragma once
#include <cstdint>

#include "runtime/error.h"

namespace vbl {

class Scratch {
 public:
  // Without memory it only measures, and take() gives nullptr.
  explicit Scratch(void *memory = nullptr) {
    const uintptr_t address = reinterpret_cast<uintptr_t>(memory);
    base_ =
        memory == nullptr ? nullptr : static_cast<char *>(memory) + (kAlignment - address % kAlignment) % kAlignment;
  }

  // The next rows · columns elements, aligned to 64 bytes, contents undefined.
  template <typename T>
  T *take(int64_t rows, int64_t columns = 1) {
    const int64_t offset = used_;
    int64_t n;
    if (__builtin_mul_overflow(rows, columns, &n) || n > (kTooMuch - offset) / static_cast<int64_t>(sizeof(T))) {
      used_ = kTooMuch;
      return nullptr;
    }
    used_ += (n * static_cast<int64_t>(sizeof(T)) + kAlignment - 1) / kAlignment * kAlignment;
    return base_ == nullptr ? nullptr : reinterpret_cast<T *>(base_ + offset);
  }

  // Bytes of a block at any address that holds everything taken; INT64_MAX if no block could.
  int64_t bytes() const { return used_ >= kTooMuch ? INT64_MAX : used_ == 0 ? 0 : used_ + kAlignment - 1; }

 private:
  static constexpr int64_t kAlignment = 64, kTooMuch = INT64_MAX / 2;
  char *base_;
  int64_t used_ = 0;
};

// Checks the scratch memory that op was given.
inline vbl_status check_scratch(const char *op, const void *scratch, int64_t scratch_bytes, int64_t needed) {
  VBL_REQUIRE(scratch_bytes >= needed, "%s: scratch must have %lld bytes, found %lld", op,
              static_cast<long long>(needed), static_cast<long long>(scratch_bytes));
  VBL_REQUIRE(needed == 0 || scratch != nullptr, "%s: scratch must not be NULL", op);
  return VBL_OK;
}

}  // namespace vbl
