// What the low-rank kernels share. A warp works on a window of columns, 16 bytes of each row per lane: 256 columns of
// 2-byte elements or 128 floats; and on 4 tokens at a time. With these figures loads of four tokens are in flight per
// lane, the factors of up to 4 ranks stay in registers, and the 4 · 4 dot products of a group of tokens half fill the
// lanes when they are summed over the warp.
//
// Where tensors are not aligned to 16 bytes, or rows are no multiple of that, the same lanes load the same columns one
// by one: the same bits, more slowly.
#pragma once
#include <type_traits>

#include "lowrank/dropout.h"
#include "lowrank/lowrank.h"
#include "runtime/convert.cuh"
#include "runtime/convert.h"

namespace vbl {
namespace cuda {
namespace {

constexpr int kGroup = 4;  // tokens

// Columns of a lane and of a warp.
template <typename T>
constexpr int kColumns = 16 / static_cast<int>(sizeof(T));
template <typename T>
constexpr int kWindow = kWarp * kColumns<T>;

__device__ __forceinline__ uint32_t bits_at(const float *p) { return __float_as_uint(*p); }
__device__ __forceinline__ uint32_t bits_at(const __nv_bfloat16 *p) { return __bfloat16_as_ushort(*p); }
__device__ __forceinline__ uint32_t bits_at(const __half *p) { return __half_as_ushort(*p); }

__device__ __forceinline__ void set_bits(float *p, uint32_t bits) { *p = __uint_as_float(bits); }
__device__ __forceinline__ void set_bits(__nv_bfloat16 *p, uint32_t bits) {
  *p = __ushort_as_bfloat16(static_cast<unsigned short>(bits));
}
__device__ __forceinline__ void set_bits(__half *p, uint32_t bits) {
  *p = __ushort_as_half(static_cast<unsigned short>(bits));
}

// 4 bytes from column c of a window of which a row has `columns`; zeros beyond the row's end.
template <typename T>
__device__ __forceinline__ uint32_t load_word(const T *window, int c, int columns) {
  uint32_t word = c < columns ? bits_at(window + c) : 0;
  if (sizeof(T) == 2 && c + 1 < columns) word |= bits_at(window + c + 1) << 16;
  return word;
}
template <typename T>
__device__ __forceinline__ void store_word(T *window, int c, int columns, uint32_t word) {
  if (c < columns) set_bits(window + c, word);
  if (sizeof(T) == 2 && c + 1 < columns) set_bits(window + c + 1, word >> 16);
}

// Columns of a row of `all` that lie in the window from column `first`.
template <typename T>
__device__ __forceinline__ int window_columns(int64_t all, int64_t first) {
  return static_cast<int>(all - first < kWindow<T> ? all - first : kWindow<T>);
}

// A lane's columns of a row's window, as they lie in memory.
template <typename T>
__device__ __forceinline__ uint4 load_lane(const T *window, int columns, int lane, bool vectors) {
  constexpr int kWord = 4 / static_cast<int>(sizeof(T));
  const int c = lane * kColumns<T>;
  if (vectors && c + kColumns<T> <= columns) return *reinterpret_cast<const uint4 *>(window + c);
  return make_uint4(load_word(window, c, columns), load_word(window, c + kWord, columns),
                    load_word(window, c + 2 * kWord, columns), load_word(window, c + 3 * kWord, columns));
}

template <typename T>
__device__ __forceinline__ void store_lane(T *window, int columns, int lane, bool vectors, uint4 bits) {
  constexpr int kWord = 4 / static_cast<int>(sizeof(T));
  const int c = lane * kColumns<T>;
  if (vectors && c + kColumns<T> <= columns) {
    __stwb(reinterpret_cast<uint4 *>(window + c), bits);
  } else {
    store_word(window, c, columns, bits.x);
    store_word(window, c + kWord, columns, bits.y);
    store_word(window, c + 2 * kWord, columns, bits.z);
    store_word(window, c + 3 * kWord, columns, bits.w);
  }
}

template <typename T>
__device__ __forceinline__ void unpack(uint4 bits, float (&v)[kColumns<T>]) {
  if constexpr (sizeof(T) == 2) {
    const T *type = nullptr;
    const float2 pairs[4] = {unpack_pair(bits.x, type), unpack_pair(bits.y, type), unpack_pair(bits.z, type),
                             unpack_pair(bits.w, type)};
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      v[2 * k] = pairs[k].x;
      v[2 * k + 1] = pairs[k].y;
    }
  } else {
    v[0] = __uint_as_float(bits.x);
    v[1] = __uint_as_float(bits.y);
    v[2] = __uint_as_float(bits.z);
    v[3] = __uint_as_float(bits.w);
  }
}

template <typename T>
__device__ __forceinline__ uint4 pack(const float (&v)[kColumns<T>]) {
  if constexpr (sizeof(T) == 2) {
    const T *type = nullptr;
    return make_uint4(pack_pair(v[0], v[1], type), pack_pair(v[2], v[3], type), pack_pair(v[4], v[5], type),
                      pack_pair(v[6], v[7], type));
  } else {
    return make_uint4(__float_as_uint(v[0]), __float_as_uint(v[1]), __float_as_uint(v[2]), __float_as_uint(v[3]));
  }
}

// A or Bt: r rows of a dtype of their own.
struct Factors {
  const void *data;
  int32_t dtype;
  bool vectors;  // each row begins at a multiple of 4 elements' bytes
};

// 4 columns of a row's window, from c on; zeros from `columns` on.
template <typename F>
__device__ __forceinline__ void load_four_columns(const F *window, int c, int columns, bool vectors, float *v) {
  float quad[4];
  if (vectors && c + 4 <= columns) {
    load(window + c, quad);
  } else {
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      float one[1];
      load_inside(c + k < columns, window + c + k, one);
      quad[k] = one[0];
    }
  }
#pragma unroll
  for (int k = 0; k < 4; ++k) v[k] = quad[k];
}

// Calls body with the factors' pointer in their own type.
template <typename Body>
__device__ __forceinline__ void with_type(const Factors &factors, const Body &body) {
  switch (factors.dtype) {
    case VBL_BFLOAT16:
      body(static_cast<const __nv_bfloat16 *>(factors.data));
      break;
    case VBL_FLOAT16:
      body(static_cast<const __half *>(factors.data));
      break;
    default:
      body(static_cast<const float *>(factors.data));
  }
}

// The columns of rank i that a lane has of T, in a window with `here` of a row's columns.
template <typename T>
__device__ __forceinline__ void load_factor(const Factors &factors, int32_t i, int64_t window, int64_t columns,
                                            int here, int lane, float (&v)[kColumns<T>]) {
  with_type(factors, [&](auto *typed) {
#pragma unroll
    for (int c = 0; c < kColumns<T>; c += 4)
      load_four_columns(typed + i * columns + window, lane * kColumns<T> + c, here, factors.vectors, v + c);
  });
}

// A lane's columns of ranks i0 .. i0 + R - 1; zeros from rank r on.
template <typename T, int R>
__device__ __forceinline__ void load_ranks(const Factors &factors, int32_t i0, int32_t r, int64_t window,
                                           int64_t columns, int lane, float (&v)[R][kColumns<T>]) {
#pragma unroll
  for (int k = 0; k < R; ++k) {
    if (i0 + k < r) {
      load_factor<T>(factors, i0 + k, window, columns, window_columns<T>(columns, window), lane, v[k]);
    } else {
#pragma unroll
      for (int j = 0; j < kColumns<T>; ++j) v[k][j] = 0;
    }
  }
}

// The sum over the warp of one of its N values per lane, the one that warp_sum_index<N>() says; N is a power of two.
// Half of the values go to the lane across in each step, so that N values cost N exchanges instead of 5 · N.
template <int N, int kOffset = kWarp / 2>
__device__ __forceinline__ float warp_sums(float *v, int lane) {
  if constexpr (N > 1) {
    const bool upper = (lane & kOffset) != 0;
#pragma unroll
    for (int k = 0; k < N / 2; ++k) {
      const float low = v[k], high = v[k + N / 2];
      v[k] = (upper ? high : low) + __shfl_xor_sync(kAllLanes, upper ? low : high, kOffset);
    }
    return warp_sums<N / 2, kOffset / 2>(v, lane);
  } else if constexpr (kOffset > 0) {
    v[0] += __shfl_xor_sync(kAllLanes, v[0], kOffset);
    return warp_sums<1, kOffset / 2>(v, lane);
  } else {
    return v[0];
  }
}
// Which value a lane holds; the 32 / N lanes that hold the same one are neighbours.
template <int N>
__device__ __forceinline__ int warp_sum_index(int lane) {
  return lane / (kWarp / N);
}

// Values of a group's dot products with R ranks: token t and rank k at t · R + k, up to a power of two.
template <int R>
struct Dots {
  static constexpr int kCount = kGroup * R;
  static constexpr int kPadded = R == 3 ? 16 : kCount;
};

// Which elements dropout keeps: 4 bits, for element 0 first. They straddle two counters where the element is no
// multiple of 4; then they do so in the whole warp.
__device__ __forceinline__ uint32_t kept_quad(const Dropout &dropout, uint64_t element) {
  const auto draw = [&](uint64_t block) {
    uint64_t c[4][1] = {{block}, {0}, {0}, {0}};
    dropout_words<PhiloxLane>(dropout, c);
    uint32_t bits = 0;
#pragma unroll
    for (int k = 0; k < 4; ++k) bits |= (static_cast<uint32_t>(c[k][0]) >= dropout.threshold ? 1u : 0u) << k;
    return bits;
  };
  const int shift = static_cast<int>(element % 4);
  uint32_t kept = draw(element / 4);
  if (shift != 0) kept |= draw(element / 4 + 1) << 4;
  return kept >> shift & 15u;
}

// The mask of a lane's columns of one token in a window, a bit per column.
template <typename T>
__device__ __forceinline__ unsigned char kept_columns(const Dropout &dropout, int64_t token, int64_t window,
                                                      int64_t columns, int lane) {
  const uint64_t element = dropout.first + static_cast<uint64_t>(token * columns + window + lane * kColumns<T>);
  uint32_t kept = kept_quad(dropout, element);
  if (kColumns<T> == 8) kept |= kept_quad(dropout, element + 4) << 4;
  return static_cast<unsigned char>(kept);
}

template <int N>
__device__ __forceinline__ void apply_mask(unsigned char kept_bits, float kept, float (&v)[N]) {
#pragma unroll
  for (int j = 0; j < N; ++j) v[j] *= (kept_bits >> j & 1) != 0 ? kept : 0.0f;
}

// Adds scaling · mask · (p Bt), in a window's columns, to rows token .. token + tokens - 1 (at most kGroup) of y.
// y has rows of `columns` that lie ld elements apart; p: of row `token`; mask: of this lane, `mask_stride` bytes from one
// token to the next, or NULL.
template <typename T>
__device__ __forceinline__ void expand_group(int32_t r, const float *p, const Factors &factors, float scaling,
                                             const unsigned char *mask, int mask_stride, float kept, int64_t token,
                                             int tokens, int64_t window, int64_t columns, int64_t ld, int lane,
                                             bool vectors, T *y) {
  const int here = window_columns<T>(columns, window);
  y += token * ld + window;
  uint4 before[kGroup];
#pragma unroll
  for (int t = 0; t < kGroup; ++t)
    before[t] = t < tokens ? load_lane(y + t * ld, here, lane, vectors) : make_uint4(0, 0, 0, 0);
  float total[kGroup][kColumns<T>] = {};
  for (int32_t i = 0; i < r; ++i) {
    float b[kColumns<T>];
    load_factor<T>(factors, i, window, columns, here, lane, b);
#pragma unroll
    for (int t = 0; t < kGroup; ++t) {
      const float pt = t < tokens ? p[t * r + i] : 0;
#pragma unroll
      for (int j = 0; j < kColumns<T>; ++j) total[t][j] = fmaf(pt, b[j], total[t][j]);
    }
  }
#pragma unroll
  for (int t = 0; t < kGroup; ++t) {
    if (t < tokens) {
      float v[kColumns<T>];
      unpack<T>(before[t], v);
      if (mask != nullptr) apply_mask(mask[t * mask_stride], kept, total[t]);
#pragma unroll
      for (int j = 0; j < kColumns<T>; ++j) v[j] = fmaf(scaling, total[t][j], v[j]);
      store_lane(y + t * ld, here, lane, vectors, pack<T>(v));
    }
  }
}

// How many ranks a warp takes at a time, 2 to 4: all, or even slices of at most 4.
inline int32_t slice_ranks(int32_t r) {
  const int32_t slices = (r + 3) / 4, even = (r + slices - 1) / slices;
  return even < 2 ? 2 : even;
}

// Calls launch(begin, end) for runs of members that take as many ranks at a time, in their order.
template <typename Launch>
void for_each_run(const vbl_lowrank &l, const Launch &launch) {
  for (int32_t begin = 0, end = 1; begin < l.members; begin = end, ++end) {
    while (end < l.members && slice_ranks(l.member[end].r) == slice_ranks(l.member[begin].r)) ++end;
    launch(begin, end);
  }
}

// Calls launch with a null pointer to the elements of the activations, and with a number of ranks that the compiler
// knows.
template <typename Launch>
void with_types(int32_t dtype, int32_t ranks, const Launch &launch) {
  with_dtype(dtype, [&](auto *type) {
    switch (ranks) {
      case 2:
        launch(type, std::integral_constant<int, 2>());
        break;
      case 3:
        launch(type, std::integral_constant<int, 3>());
        break;
      default:
        launch(type, std::integral_constant<int, 4>());
    }
  });
}

// Whether rows that lie ld elements apart can be loaded 16 bytes at a time.
inline bool row_vectors(const void *memory, int64_t ld, int32_t dtype) {
  return aligned(memory, 16) && ld * dtype_bytes(dtype) % 16 == 0;
}

inline Factors factors_of(const void *memory, int64_t columns, int32_t dtype) {
  return {memory, dtype, aligned(memory, 4 * dtype_bytes(dtype)) && columns % 4 == 0};
}

}  // namespace
}  // namespace cuda
}  // namespace vbl
