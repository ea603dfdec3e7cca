#include "lowrank/lowrank.simd.h"

#include "runtime/simd.h"

namespace vbl {
namespace VBL_ISA {
namespace {

typedef uint64_t vlong __attribute__((vector_size(sizeof(vfloat))));

// 0, 1, 2, ..; and the lanes that alternate the lower halves of two vectors.
#if defined(VBL_ISA_avx512)
constexpr vlong kCount = {0, 1, 2, 3, 4, 5, 6, 7}, kZip = {0, 8, 1, 9, 2, 10, 3, 11};
#elif defined(VBL_ISA_avx2)
constexpr vlong kCount = {0, 1, 2, 3}, kZip = {0, 4, 1, 5};
#else
constexpr vlong kCount = {0, 1}, kZip = {0, 2};
#endif

struct PhiloxVector {
  using Word = vlong;
  static Word multiply_low(Word a, uint32_t b) {
    const Word bs = Word{} + b;
#if defined(VBL_ISA_avx512)
    // Masked by nothing: without a mask GCC 12 warns of its own header.
    const __m512i product = _mm512_maskz_mul_epu32(0xFF, reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(bs));
    return reinterpret_cast<Word>(product);
#elif defined(VBL_ISA_avx2)
    return reinterpret_cast<Word>(_mm256_mul_epu32(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(bs)));
#elif defined(__SSE2__)
    return reinterpret_cast<Word>(_mm_mul_epu32(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(bs)));
#else
    return (a & 0xFFFFFFFFu) * bs;
#endif
  }
};

#if defined(VBL_ISA_avx512)
constexpr int kRows = 4;  // register blocks of rows by 4: 16 accumulators of 32 registers
#else
constexpr int kRows = 2;  // 8 of 16
#endif
constexpr int kTokens = kLowrankTokens, kVectors = 4;
constexpr int64_t kPiece = 1024;  // columns between the roundings of partial sums, and of a mask held at a time

constexpr int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// Where a block has V > 1 vectors they are whole; a single one may be the last of its row, `left` wide.
template <int V>
vfloat load_block(const float *p, int64_t left) {
  return V > 1 || left >= kLanes ? load(p) : load(p, left);
}
template <int V>
void store_block(float *p, vfloat v, int64_t left) {
  V > 1 || left >= kLanes ? store(p, v) : store(p, v, left);
}

// to [rows, ld] = mask · x for columns begin .. begin + n - 1 of rows x, of which the first is number `token` and each has
// `width` columns.
void drop(const Dropout &dropout, int64_t token, int64_t rows, int64_t width, int64_t begin, int64_t n, const float *x,
          int64_t ldx, float *to, int64_t ld) {
  for (int64_t t = 0; t < rows; ++t) {
    dropout_mask(dropout, static_cast<uint64_t>((token + t) * width + begin), n, to + t * ld);
    const float *from = x + t * ldx + begin;
    for (int64_t c = 0; c < n; ++c) to[t * ld + c] *= from[c];
  }
}

// p[t · ldp + i] = (first ? 0 : p) + the dot products of T rows of x and R rows of a over n columns.
template <int T, int R>
void dots(int64_t n, const float *x, int64_t ldx, const float *a, int64_t lda, bool first, float *p, int64_t ldp) {
  vfloat total[T][R] = {};
  const auto add = [&](auto vector) {
    vfloat xs[T];
    for (int t = 0; t < T; ++t) xs[t] = vector(x + t * ldx);
    for (int i = 0; i < R; ++i) {
      const vfloat as = vector(a + i * lda);
      for (int t = 0; t < T; ++t) total[t][i] = fma(xs[t], as, total[t][i]);
    }
  };
  int64_t c = 0;
  for (; c + kLanes <= n; c += kLanes) add([c](const float *row) { return load(row + c); });
  if (c < n) add([c, n](const float *row) { return load(row + c, n - c); });
  for (int t = 0; t < T; ++t)
    for (int i = 0; i < R; ++i) p[t * ldp + i] = (first ? 0 : p[t * ldp + i]) + sum(total[t][i]);
}

template <int T>
void project(int64_t n, int64_t ld, int32_t r, const float *x, const float *a, float scaling, const Dropout *dropout,
             int64_t token, float *p) {
  float dropped[T * kPiece];
  for (int64_t c = 0; c < n; c += kPiece) {
    const int64_t piece = least(kPiece, n - c);
    const float *from = x + c;
    int64_t ldx = ld;
    if (dropout != nullptr) {
      drop(*dropout, token, T, n, c, piece, x, ld, dropped, kPiece);
      from = dropped;
      ldx = kPiece;
    }
    int32_t i = 0;
    for (; i + kRows <= r; i += kRows) dots<T, kRows>(piece, from, ldx, a + i * n + c, n, c == 0, p + i, r);
    for (; i < r; ++i) dots<T, 1>(piece, from, ldx, a + i * n + c, n, c == 0, p + i, r);
  }
  for (int64_t e = 0; e < T * r; ++e) p[e] *= scaling;
}

// y [T, ..] += scaling · mask · (p bt) in V vectors of columns; mask may be NULL.
template <int T, int V>
void combine(int32_t r, const float *p, const float *bt, int64_t n, int64_t left, float scaling, const float *mask,
             float *y, int64_t ldy) {
  vfloat total[T][V] = {};
  for (int32_t i = 0; i < r; ++i) {
    vfloat bs[V];
    for (int v = 0; v < V; ++v) bs[v] = load_block<V>(bt + i * n + v * kLanes, left);
    for (int t = 0; t < T; ++t) {
      const vfloat ps = splat(p[t * r + i]);
      for (int v = 0; v < V; ++v) total[t][v] = fma(ps, bs[v], total[t][v]);
    }
  }
  for (int t = 0; t < T; ++t)
    for (int v = 0; v < V; ++v) {
      float *to = y + t * ldy + v * kLanes;
      if (mask != nullptr) total[t][v] *= load_block<V>(mask + t * kPiece + v * kLanes, left);
      store_block<V>(to, fma(splat(scaling), total[t][v], load_block<V>(to, left)), left);
    }
}

template <int T>
void expand(int64_t n, int64_t ld, int32_t r, const float *p, const float *bt, float scaling, const Dropout *dropout,
            int64_t token, float *y) {
  float masks[T * kPiece];
  for (int64_t begin = 0; begin < n; begin += kPiece) {
    const int64_t piece = least(kPiece, n - begin);
    if (dropout != nullptr)
      for (int t = 0; t < T; ++t)
        dropout_mask(*dropout, static_cast<uint64_t>((token + t) * n + begin), piece, masks + t * kPiece);
    const auto columns = [&](int64_t c, auto combine_columns) {
      const float *mask = dropout != nullptr ? masks + c : nullptr;
      combine_columns(r, p, bt + begin + c, n, piece - c, scaling, mask, y + begin + c, ld);
    };
    int64_t c = 0;
    for (; c + kRows * kLanes <= piece; c += kRows * kLanes) columns(c, combine<T, kRows>);
    for (; c < piece; c += kLanes) columns(c, combine<T, 1>);
  }
}

// da [R, ..] += scaling · (R columns of p)t x over V vectors of columns.
template <int R, int V>
void outer(int64_t tokens, const float *p, int64_t ldp, const float *x, int64_t ldx, int64_t left, float scaling,
           float *da, int64_t lda) {
  vfloat total[R][V] = {};
  for (int64_t t = 0; t < tokens; ++t) {
    vfloat xs[V];
    for (int v = 0; v < V; ++v) xs[v] = load_block<V>(x + t * ldx + v * kLanes, left);
    for (int i = 0; i < R; ++i) {
      const vfloat ps = splat(p[t * ldp + i]);
      for (int v = 0; v < V; ++v) total[i][v] = fma(ps, xs[v], total[i][v]);
    }
  }
  for (int i = 0; i < R; ++i)
    for (int v = 0; v < V; ++v) {
      float *to = da + i * lda + v * kLanes;
      store_block<V>(to, fma(splat(scaling), total[i][v], load_block<V>(to, left)), left);
    }
}

template <int R>
void outer_rows(int64_t tokens, const float *p, int64_t ldp, const float *x, int64_t ldx, int64_t columns,
                float scaling, float *da, int64_t lda) {
  int64_t c = 0;
  for (; c + kVectors * kLanes <= columns; c += kVectors * kLanes)
    outer<R, kVectors>(tokens, p, ldp, x + c, ldx, columns - c, scaling, da + c, lda);
  for (; c < columns; c += kLanes) outer<R, 1>(tokens, p, ldp, x + c, ldx, columns - c, scaling, da + c, lda);
}

}  // namespace

void dropout_mask(const Dropout &dropout, uint64_t first, int64_t n, float *mask) {
  first += dropout.first;
  constexpr int kCounters = 2, kWordsAtOnce = kCounters * 2 * kLanes;
  constexpr int64_t kWords = 4 * kWordsAtOnce;
  uint32_t words[kWords];
  for (int64_t done = 0; done < n;) {
    const uint64_t block = (first + static_cast<uint64_t>(done)) / 4;
    const int64_t offset = static_cast<int64_t>((first + static_cast<uint64_t>(done)) % 4);
    const int64_t count = least(n - done, kWords - offset);
    for (int64_t w = 0; w < offset + count; w += kWordsAtOnce) {
      vlong c[4][kCounters];
      for (int j = 0; j < kCounters; ++j) c[0][j] = kCount + (block + static_cast<uint64_t>(w / 4 + j * kLanes / 2));
      dropout_words<PhiloxVector>(dropout, c);
      for (int j = 0; j < kCounters; ++j) {
        const vlong low = (c[0][j] & 0xFFFFFFFFu) | c[1][j] << 32, high = (c[2][j] & 0xFFFFFFFFu) | c[3][j] << 32;
        const vlong pairs[2] = {__builtin_shuffle(low, high, kZip), __builtin_shuffle(low, high, kZip + kLanes / 4)};
        __builtin_memcpy(words + w + j * 2 * kLanes, pairs, sizeof pairs);
      }
    }
    for (int64_t i = 0; i < count; ++i) mask[done + i] = words[offset + i] >= dropout.threshold ? dropout.kept : 0.0f;
    done += count;
  }
}

void lowrank_project(int64_t tokens, int64_t n, int64_t ld, int32_t r, const float *x, const float *a, float scaling,
                     const Dropout *dropout, int64_t token, float *p) {
  int64_t t = 0;
  for (; t + kTokens <= tokens; t += kTokens)
    project<kTokens>(n, ld, r, x + t * ld, a, scaling, dropout, token + t, p + t * r);
  for (; t < tokens; ++t) project<1>(n, ld, r, x + t * ld, a, scaling, dropout, token + t, p + t * r);
}

void lowrank_expand(int64_t tokens, int64_t n, int64_t ld, int32_t r, const float *p, const float *bt, float scaling,
                    const Dropout *dropout, int64_t token, float *y) {
  int64_t t = 0;
  for (; t + kTokens <= tokens; t += kTokens)
    expand<kTokens>(n, ld, r, p + t * r, bt, scaling, dropout, token + t, y + t * ld);
  for (; t < tokens; ++t) expand<1>(n, ld, r, p + t * r, bt, scaling, dropout, token + t, y + t * ld);
}

void lowrank_accumulate(int64_t tokens, int64_t n, int64_t ld, int32_t r, int64_t begin, int64_t end, const float *p,
                        const float *x, float scaling, const Dropout *dropout, int64_t token, float *da) {
  const int64_t columns = end - begin;
  float packed[kLowrankChunk * kLowrankColumns];
  for (int64_t t = 0; t < tokens; t += kLowrankChunk) {
    const int64_t chunk = least(kLowrankChunk, tokens - t);
    const float *from = x + t * ld + begin;
    int64_t ldx = ld;
    if (dropout != nullptr || r > kRows) {  // the rows of x itself may all lie in the same few sets of the cache
      if (dropout != nullptr)
        drop(*dropout, token + t, chunk, n, begin, columns, x + t * ld, ld, packed, kLowrankColumns);
      else
        for (int64_t row = 0; row < chunk; ++row)
          __builtin_memcpy(packed + row * kLowrankColumns, from + row * ld,
                           sizeof(float) * static_cast<uint64_t>(columns));
      from = packed;
      ldx = kLowrankColumns;
    }
    const float *ps = p + t * r;
    int32_t i = 0;
    for (; i + kRows <= r; i += kRows)
      outer_rows<kRows>(chunk, ps + i, r, from, ldx, columns, scaling, da + i * n + begin, n);
    for (; i < r; ++i) outer_rows<1>(chunk, ps + i, r, from, ldx, columns, scaling, da + i * n + begin, n);
  }
}

}  // namespace VBL_ISA
}  // namespace vbl
