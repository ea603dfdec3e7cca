// Exchanges among the lanes of a warp. All lanes of a mask meet at one call; only __syncwarp orders memory.
#pragma once
#include <cstring>
#include <type_traits>

#include "simt/thread.h"

namespace simt {

enum class WarpOperation { syncwarp, shuffle, vote, match, reduce };

// Waits until all lanes of the mask are here, each with its value, and returns that of lane `source`, which must be one
// of them.
SIMT_API uint64_t warp_exchange(WarpOperation operation, unsigned mask, uint64_t value, int source, Site site);

// The same, for the values of all lanes; those of lanes outside the mask, or that do not exist, are left alone. Returns
// the lanes whose values there are.
SIMT_API unsigned warp_gather(WarpOperation operation, unsigned mask, uint64_t value, uint64_t (&values)[kWarpSize],
                              Site site);

template <typename T>
T shuffle(unsigned mask, T value, int source, Site site) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8, "a shuffle moves up to 8 trivially copyable bytes");
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = warp_exchange(WarpOperation::shuffle, mask, bits, source, site);
  std::memcpy(static_cast<void *>(&value), &bits, sizeof value);
  return value;
}

// The first lane of this lane's segment of `width` lanes.
inline int segment(int width, Site site) {
  if (width < 1 || width > kWarpSize || (width & (width - 1))) {
    fail("the width of __shfl_sync must be 1, 2, 4, 8, 16 or 32", site);
  }
  return lane() & ~(width - 1);
}

inline unsigned vote(unsigned mask, bool predicate, Site site) {
  uint64_t values[kWarpSize];
  const unsigned lanes = warp_gather(WarpOperation::vote, mask, predicate, values, site);
  unsigned ballot = 0;
  for (int i = 0; i < kWarpSize; ++i) {
    if (lanes >> i & 1) ballot |= static_cast<unsigned>(values[i]) << i;
  }
  return ballot;
}

template <typename T>
uint64_t match_bits(T value) {
  static_assert(std::is_trivially_copyable_v<T> && (sizeof(T) == 4 || sizeof(T) == 8), "4 or 8 bytes are matched");
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}

template <typename T, typename F>
T reduce(unsigned mask, T value, Site site, F combine) {
  uint64_t values[kWarpSize];
  const unsigned lanes = warp_gather(WarpOperation::reduce, mask, static_cast<uint64_t>(value), values, site);
  bool first = true;
  for (int i = 0; i < kWarpSize; ++i) {
    if (!(lanes >> i & 1)) continue;
    const T other = static_cast<T>(values[i]);
    value = first ? other : combine(value, other);
    first = false;
  }
  return value;
}

}  // namespace simt

inline void __syncwarp(unsigned mask = 0xffffffffu, ::simt::Site site = ::simt::Site::here()) {
  ::simt::warp_exchange(::simt::WarpOperation::syncwarp, mask, 0, ::simt::lane(), site);
}

template <typename T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, ::simt::Site site = ::simt::Site::here()) {
  const int first = ::simt::segment(width, site);
  return ::simt::shuffle(mask, value, first | (source & (width - 1)), site);
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, ::simt::Site site = ::simt::Site::here()) {
  const int lane = ::simt::lane(), first = ::simt::segment(width, site);
  const bool inside = delta <= static_cast<unsigned>(lane - first);
  return ::simt::shuffle(mask, value, inside ? lane - static_cast<int>(delta) : lane, site);
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, ::simt::Site site = ::simt::Site::here()) {
  const int lane = ::simt::lane(), last = ::simt::segment(width, site) + width - 1;
  const bool inside = delta <= static_cast<unsigned>(last - lane);
  return ::simt::shuffle(mask, value, inside ? lane + static_cast<int>(delta) : lane, site);
}
// A lane of an earlier segment may be read, one of a later segment may not: CUDA defines it so.
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32, ::simt::Site site = ::simt::Site::here()) {
  const int lane = ::simt::lane(), last = ::simt::segment(width, site) + width - 1;
  const int source = lane ^ (lane_mask & (::simt::kWarpSize - 1));
  return ::simt::shuffle(mask, value, source <= last ? source : lane, site);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, ::simt::Site site = ::simt::Site::here()) {
  return ::simt::vote(mask, predicate != 0, site);
}
inline int __any_sync(unsigned mask, int predicate, ::simt::Site site = ::simt::Site::here()) {
  return ::simt::vote(mask, predicate != 0, site) != 0;
}
inline int __all_sync(unsigned mask, int predicate, ::simt::Site site = ::simt::Site::here()) {
  return ::simt::vote(mask, predicate == 0, site) == 0;
}

// The lanes of the mask that hold this lane's value.
template <typename T>
unsigned __match_any_sync(unsigned mask, T value, ::simt::Site site = ::simt::Site::here()) {
  const uint64_t bits = ::simt::match_bits(value);
  uint64_t values[::simt::kWarpSize];
  const unsigned lanes = ::simt::warp_gather(::simt::WarpOperation::match, mask, bits, values, site);
  unsigned same = 0;
  for (int i = 0; i < ::simt::kWarpSize; ++i) {
    if ((lanes >> i & 1) && values[i] == bits) same |= 1u << i;
  }
  return same;
}
// The mask if all its lanes hold one value, else 0; *all says which.
template <typename T>
unsigned __match_all_sync(unsigned mask, T value, int *all, ::simt::Site site = ::simt::Site::here()) {
  *all = __match_any_sync(mask, value, site) == mask;
  return *all ? mask : 0u;
}

#define SIMT_REDUCE(name, T, expression)                                                           \
  inline T name(unsigned mask, T value, ::simt::Site site = ::simt::Site::here()) {                \
    return ::simt::reduce(mask, value, site, [](T a, T b) { return static_cast<T>(expression); }); \
  }
SIMT_REDUCE(__reduce_add_sync, unsigned, a + b)
SIMT_REDUCE(__reduce_min_sync, unsigned, b < a ? b : a)
SIMT_REDUCE(__reduce_max_sync, unsigned, a < b ? b : a)
SIMT_REDUCE(__reduce_and_sync, unsigned, a &b)
SIMT_REDUCE(__reduce_or_sync, unsigned, a | b)
SIMT_REDUCE(__reduce_xor_sync, unsigned, a ^ b)
SIMT_REDUCE(__reduce_add_sync, int, static_cast<unsigned>(a) + static_cast<unsigned>(b))
SIMT_REDUCE(__reduce_min_sync, int, b < a ? b : a)
SIMT_REDUCE(__reduce_max_sync, int, a < b ? b : a)
#undef SIMT_REDUCE

// Which lanes run together is the hardware's accident: a kernel that asks depends on it.
template <int Never = 0>
unsigned __activemask() {
  static_assert(Never != 0, "__activemask() is refused: name the lanes in an explicit mask");
  return 0;
}
