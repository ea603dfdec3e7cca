// Composition from known indices and weights: packed[slots[n] · b + i] = sum over j of w[n, j] · bank[s(n, j) · b + i].
//
// rows N, vector_length b, topk k. Written: N · b elements; read: k vectors of the bank for every sub-vector, from L2,
// where the bank (h · b · 4 bytes) stays, and N · k · 8 bytes of indices and weights. 2 · N · b · k float64 FLOPs, and
// (k + 1) · N · b conversions to and from float64, of which an SM makes 16 per clock. Llama-2-7B (N = 39,040, b = 256,
// k = 2, bfloat16): 20 MB written, 80 MB read from L2, 30 M conversions.
//
// Launch: a row is a group of lanes, 8 columns each, in two quads: each 16-byte load stands beside that of the next
// lane. A group is a warp where b is over 128, fewer lanes for smaller b, so that several rows share a warp; longer
// rows are cut into tiles, a block for each. Where b or an address does not allow quads, 8 single columns. Sums are
// fused multiply-adds of float64 in the order of j: products of two float32 are exact there, so that fusing changes
// nothing and the bits are those of the CPU.
//
// Considered: slices of the bank's columns in shared memory, all rows passing by each. It takes the 80 MB off L2, but
// every block has 128 KB to load before its first row, and indices are read once per slice. Sums as pairs of float32
// would spare the conversions, but double rounding would then have to be imitated.
#include <type_traits>

#include "admixture/admixture.h"
#include "admixture/compose.h"
#include "runtime/convert.cuh"

namespace vbl {
namespace cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kColumns = 8;  // of a lane, in one tile

template <typename T, int V>
__global__ void __launch_bounds__(kThreads) compose_rows(vbl_admixture a, int group, unsigned tiles, const float *bank,
                                                         const int32_t *indices, const float *weights, T *packed) {
  constexpr int kVectors = kColumns / V;
  const int64_t row = static_cast<int64_t>(blockIdx.x / tiles) * (kThreads / group) + threadIdx.x / group;
  if (row >= a.rows) return;
  const int64_t slot = a.slots != nullptr ? a.slots[row] : row;
  if (slot < 0 || slot >= a.rows) return;
  const int64_t length = a.vector_length, topk = a.topk, stride = int64_t{V} * group;
  const int32_t *index = indices + row * topk;
  const float *weight = weights + row * topk;
  T *out = packed + slot * length;
  const int64_t first = blockIdx.x % tiles * (stride * kVectors) + threadIdx.x % group * V;
  double sum[kVectors][V];
#pragma unroll
  for (int i = 0; i < kVectors; ++i)
#pragma unroll
    for (int c = 0; c < V; ++c) sum[i][c] = -0.0;  // adding to it keeps a zero's sign
#pragma unroll 2
  for (int64_t j = 0; j < topk; ++j) {
    const uint32_t s = static_cast<uint32_t>(index[j]);
    const bool known = s < static_cast<uint32_t>(a.num_vectors);
    const double w = known ? weight[j] : __uint_as_float(0x7FC00000u);
    const float *vector = bank + (known ? s : 0) * length;
    float x[kVectors][V];
#pragma unroll
    for (int i = 0; i < kVectors; ++i) load_inside(first + i * stride < length, vector + first + i * stride, x[i]);
#pragma unroll
    for (int i = 0; i < kVectors; ++i)
#pragma unroll
      for (int c = 0; c < V; ++c) sum[i][c] = fma(w, static_cast<double>(x[i][c]), sum[i][c]);
  }
#pragma unroll
  for (int i = 0; i < kVectors; ++i) {
    float v[V];
#pragma unroll
    for (int c = 0; c < V; ++c) v[c] = static_cast<float>(sum[i][c]);
    if (first + i * stride < length) store(out + first + i * stride, v);
  }
}

template <typename T, int V>
void launch(cudaStream_t stream, const vbl_admixture &a, const float *bank, const int32_t *indices,
            const float *weights, T *packed) {
  int group = 1;
  while (group < kWarp && group * kColumns < a.vector_length) group *= 2;
  const int64_t rows = kThreads / group, tile = int64_t{group} * kColumns;
  const int64_t tiles = (a.vector_length + tile - 1) / tile, blocks = (a.rows + rows - 1) / rows * tiles;
  VBL_LAUNCH((compose_rows<T, V>), static_cast<unsigned>(blocks), kThreads, 0, stream, a, group,
             static_cast<unsigned>(tiles), bank, indices, weights, packed);
}

}  // namespace

vbl_status compose(vbl_stream *stream, const vbl_admixture &a, const float *bank, const int32_t *indices,
                   const float *weights, void *packed, int32_t dtype) {
  VBL_CUDA_OP("vbl_compose", stream);
  with_dtype(dtype, [&](auto *type) {
    using T = std::remove_pointer_t<decltype(type)>;
    if (a.vector_length % 4 == 0 && aligned(bank, 16) && aligned(packed, 4 * sizeof(T)))
      launch<T, 4>(handle(stream), a, bank, indices, weights, static_cast<T *>(packed));
    else
      launch<T, 1>(handle(stream), a, bank, indices, weights, static_cast<T *>(packed));
  });
  return launched("vbl_compose");
}

}  // namespace cuda
}  // namespace vbl
