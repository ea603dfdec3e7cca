// Matrix products by a BLAS library's single-threaded sgemm on tiles of D.
#include <algorithm>

#include "gemm/blas.h"
#include "runtime/convert.h"
#include "runtime/scratch.h"
#include "runtime/stream.h"

namespace {

constexpr int64_t kLargestEdge = 512;  // a larger tile is always cut, a smaller one only if tiles are few
constexpr int64_t kEnoughTiles = 8;
constexpr int64_t kSmallestTileCost = 512 << 10;  // multiply-adds that are worth a task of their own
constexpr int64_t kFewRows = 8;                   // up to here reading B is what takes the time
constexpr int64_t kFewRowsTile = 512 << 10;       // multiply-adds; OpenBLAS packs no copy of B below 10^6,
constexpr int64_t kFewRowsDepth = 512;            // and there sums all of k in one chain: longer ones lose digits
constexpr int64_t kWidenedFloats = 256 << 10;     // 16-bit B widened at a time: 1 MiB, which stays in L2

struct Tiles {
  int64_t m, n, k;  // edges of a tile; k is cut where rows are few or B is widened
};

int64_t count(int64_t size, int64_t edge) { return (size + edge - 1) / edge; }

double work(const Tiles &t) { return static_cast<double>(t.m) * static_cast<double>(t.n) * static_cast<double>(t.k); }

int64_t half_of(int64_t edge) { return (edge / 2 + 31) / 32 * 32; }

// Depends on the shape alone, so that the bits do too.
Tiles tiles_of(const vbl_gemm &g) {
  Tiles t{std::max<int64_t>(g.m, 1), std::max<int64_t>(g.n, 1), std::max<int64_t>(g.k, 1)};
  if (g.m <= kFewRows) {
    t.k = std::min(t.k, kFewRowsDepth);
    while (t.n > 32 && (t.n > kLargestEdge || work(t) > kFewRowsTile)) t.n = half_of(t.n);
  } else {
    for (;;) {
      int64_t &edge = t.n >= t.m ? t.n : t.m;
      const bool large = edge > kLargestEdge, few = count(g.m, t.m) * count(g.n, t.n) < kEnoughTiles;
      if (edge <= 64 || !(large || few) || work(t) < 2 * kSmallestTileCost) break;
      edge = half_of(edge);
    }
  }
  if (g.b_dtype != VBL_FLOAT32) t.k = std::min(t.k, std::max<int64_t>(64, kWidenedFloats / t.n));
  return t;
}

vbl_status check(const char *op, const vbl_gemm *gemm) {
  VBL_REQUIRE_NOT_NULL_OF(op, gemm);
  const vbl_gemm &g = *gemm;
  VBL_REQUIRE(g.b_dtype >= VBL_FLOAT32 && g.b_dtype <= VBL_FLOAT16, "%s: unknown b_dtype %d", op, g.b_dtype);
  VBL_REQUIRE((g.trans_a | g.trans_b | 1) == 1, "%s: trans_a and trans_b must be 0 or 1, found %d and %d", op,
              g.trans_a, g.trans_b);
  const int64_t one_row = std::max<int64_t>(1, g.n);
  const struct {
    const char *name;
    int64_t value, least;
  } sizes[] = {{"m", g.m, 0},
               {"n", g.n, 0},
               {"k", g.k, 0},
               {"lda", g.lda, std::max<int64_t>(1, g.trans_a ? g.m : g.k)},
               {"ldb", g.ldb, std::max<int64_t>(1, g.trans_b ? g.k : g.n)},
               {"ldc", g.beta != 0 ? g.ldc : one_row, one_row},
               {"ldd", g.ldd, one_row}};
  for (const auto &size : sizes)
    VBL_REQUIRE(size.value >= size.least && size.value <= INT32_MAX, "%s: %s must lie in %lld .. %d, found %lld", op,
                size.name, static_cast<long long>(size.least), INT32_MAX, static_cast<long long>(size.value));
  return VBL_OK;
}

// A tile of B per worker, if it has to be widened.
float *lay_out(vbl::Scratch &scratch, int32_t threads, const vbl_gemm &g) {
  const Tiles t = tiles_of(g);
  return scratch.take<float>(g.b_dtype == VBL_FLOAT32 ? 0 : threads, t.n * t.k);
}

}  // namespace

extern "C" int64_t vbl_cpu_gemm_scratch_bytes(const vbl_stream *stream, const vbl_gemm *gemm) {
  const auto checked = [&]() -> vbl_status {
    VBL_REQUIRE_NOT_NULL_OF("vbl_cpu_gemm_scratch_bytes", stream);
    return check("vbl_cpu_gemm_scratch_bytes", gemm);
  };
  if (checked() != VBL_OK) return -1;
  vbl::Scratch scratch;
  lay_out(scratch, vbl_stream_threads(stream), *gemm);
  return scratch.bytes();
}

extern "C" vbl_status vbl_cpu_gemm(vbl_stream *stream, const vbl_blas *blas, const vbl_gemm *gemm, const float *a,
                                   const void *b, const float *c, float *d, void *scratch, int64_t scratch_bytes) {
  VBL_REQUIRE_CPU(stream);
  VBL_REQUIRE_NOT_NULL(blas);
  VBL_TRY(check(__func__, gemm));
  const vbl_gemm &g = *gemm;
  if (g.m == 0 || g.n == 0) return VBL_OK;
  if (g.k > 0) {
    VBL_REQUIRE_NOT_NULL(a, b);
  }
  if (g.beta != 0) {
    VBL_REQUIRE_NOT_NULL(c);
    VBL_REQUIRE(c != d || g.ldc == g.ldd,
                "vbl_cpu_gemm: ldc and ldd must be the same where c is d, found %lld and %lld",
                static_cast<long long>(g.ldc), static_cast<long long>(g.ldd));
  }
  VBL_REQUIRE_NOT_NULL(d);
  VBL_TRY(vbl::check_scratch(__func__, scratch, scratch_bytes, vbl_cpu_gemm_scratch_bytes(stream, gemm)));
  vbl::Scratch memory(scratch);
  float *widened = lay_out(memory, stream->team->threads(), g);

  const Tiles t = tiles_of(g);
  const int64_t row_tiles = count(g.m, t.m), column_tiles = count(g.n, t.n);
  const int64_t b_bytes = vbl::dtype_bytes(g.b_dtype);
  const auto tile = [&](int64_t number, int32_t worker) {
    const int64_t i = number % row_tiles * t.m, j = number / row_tiles * t.n;
    const int64_t m = std::min(t.m, g.m - i), n = std::min(t.n, g.n - j);
    float *d_tile = d + i * g.ldd + j;
    if (g.beta != 0 && c != d)  // sgemm adds to its result alone; the copy is still in cache then
      for (int64_t row = 0; row < m; ++row) std::copy_n(c + (i + row) * g.ldc + j, n, d_tile + row * g.ldd);
    int64_t l = 0;
    do {
      const int64_t k = std::min(t.k, g.k - l);
      const float *a_tile = a + (g.trans_a ? l * g.lda + i : i * g.lda + l);
      const char *b_tile = static_cast<const char *>(b) + (g.trans_b ? j * g.ldb + l : l * g.ldb + j) * b_bytes;
      const float *b_floats = reinterpret_cast<const float *>(b_tile);
      int64_t ldb = g.ldb;
      if (g.b_dtype != VBL_FLOAT32) {
        float *wide = widened + worker * t.n * t.k;
        const int64_t rows = g.trans_b ? n : k, columns = g.trans_b ? k : n;
        for (int64_t row = 0; row < rows; ++row)
          vbl::widen(columns, b_tile + row * g.ldb * b_bytes, g.b_dtype, wide + row * columns);
        b_floats = wide;
        ldb = std::max<int64_t>(1, columns);
      }
      const auto integer = [](int64_t value) { return static_cast<int32_t>(value); };
      blas->sgemm(kCblasRowMajor, g.trans_a ? kCblasTrans : kCblasNoTrans, g.trans_b ? kCblasTrans : kCblasNoTrans,
                  integer(m), integer(n), integer(k), g.alpha, a_tile, integer(g.lda), b_floats, integer(ldb),
                  l == 0 ? g.beta : 1.0f, d_tile, integer(g.ldd));
      l += k;
    } while (l < g.k);
  };
  stream->team->run(row_tiles * column_tiles, vbl::TaskRef(tile));
  return VBL_OK;
}
