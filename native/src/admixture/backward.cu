// Backward of the admixture: dlogits [N, k] and dbank [h, b] from dpacked [N · b], both float64 sums rounded once.
//
// A use is a pair (row, j); there are U = N · k. They are sorted by bank vector, stably. Then the sub-vector du of each
// use is read once, for <du, bank[s]> and for the vector's sum of w · du at once; the bank vector stays in registers
// while its uses pass.
//
//   count       uses of each vector in each piece of the list of uses: integer atomics, an add per vector and warp
//   scan        offsets [h, pieces], exclusive sums over all of them, in two launches (add_tiles, scan_tiles)
//   place       a warp per piece takes its uses in order, 32 at a time, to where they belong
//   sum_uses    the sorted list in chunks of equal length, whatever vectors they belong to, a chunk per warp and 256
//               columns: a vector whose uses lie within the chunk goes to dbank, of others there are partial sums
//   finish      vectors that span chunks: their partial sums, in a fixed tree; zeros for vectors without uses; and
//               dlogits from the products of each row
//
// Bytes: dpacked (4 · N · b) from memory, k times from L2 or memory; bank, uses (16 · U), offsets, products (8 · U) and
// partial sums (16 · b per chunk) in L2. FLOPs: 4 · N · b · k in float64, and N · b · k conversions, of which an SM
// makes 16 per clock. Llama-2-7B (N = 39,040, b = 256, h = 2048, k = 2): 40 MB read, 80 MB with the second reading,
// 1,220 chunks with 5 MB of partial sums, 20 M conversions.
//
// Skew costs nothing before finish, since chunks are equally long; there, the warps of a block share a vector that
// spans many chunks, and a block has 32 columns, so that the vector is spread over b / 32 blocks.
//
// Considered: products by row in a kernel of their own, as on the CPU. It reads the bank k times for every row besides
// and dpacked once more: 200 MB through L2 instead of 80, and 50 M conversions instead of 20.
#include "admixture/admixture.h"
#include "admixture/backward.h"
#include "runtime/convert.cuh"
#include "runtime/scratch.h"

namespace vbl {
namespace cuda {
namespace {

constexpr int kCountThreads = 256;
constexpr int kScanThreads = 256, kScanItems = 16, kScanTile = kScanThreads * kScanItems;
constexpr int kSumThreads = 128;
constexpr int kFinishThreads = 256, kFinishWarps = kFinishThreads / kWarp;
constexpr int kBatch = 8;    // uses in flight
constexpr int kColumns = 8;  // of a lane
constexpr int kShort = 16;   // partial sums that a warp adds alone

// A use at its place in the sorted list.
struct __align__(16) Use {
  int32_t position;  // row · topk + j
  int32_t slot;
  float weight;
  int32_t vector;
};

struct Buffers {
  int64_t uses;    // U
  int64_t pieces;  // of the uses, for sorting
  int64_t grain;   // uses of a piece, a multiple of 32
  int64_t chunk;   // uses of a chunk, a multiple of kBatch
  int64_t chunks;
  int64_t tiles;      // of the columns, in sum_uses
  int64_t counters;   // num_vectors · pieces, and what fills scan's last tile
  int32_t *next;      // [num_vectors, pieces] counts; then offsets; after place, the offsets of the entries behind
  int32_t *tile_sum;  // sums of scan's tiles
  Use *sorted;        // [uses], without those that are out of range
  double *product;    // [tiles, uses] <du, bank[s]> over a tile's columns, by position
  double *leading;    // [chunks, vector_length] partial sum of the vector that began in an earlier chunk
  double *trailing;   // [chunks, vector_length] partial sum of the vector that goes on in the next chunk
};

// Lanes for a chunk in sum_uses: 8 where they have columns enough.
int team_size(const vbl_admixture &a) { return a.vector_length <= 8 * kColumns ? 8 : kWarp; }

// All sizes come from the admixture alone, so that every device adds in the same order.
Buffers lay_out(Scratch &scratch, const vbl_admixture &a) {
  Buffers b;
  b.uses = a.rows * a.topk;
  // Short pieces are placed quickly, but each takes a counter per vector.
  int64_t counters = 8 * b.uses;
  if (counters < int64_t{1} << 22) counters = int64_t{1} << 22;
  if (counters > int64_t{1} << 26) counters = int64_t{1} << 26;
  b.pieces = counters / a.num_vectors;
  if (b.pieces > 256) b.pieces = 256;
  if (b.pieces < 1) b.pieces = 1;
  b.grain = ((b.uses + b.pieces - 1) / b.pieces + kWarp - 1) / kWarp * kWarp;
  b.pieces = (b.uses + b.grain - 1) / b.grain;
  // Some 1,300 chunks keep an H100 busy; longer ones have fewer partial sums.
  int64_t batches = (b.uses + kBatch * 1320 - 1) / (kBatch * 1320);
  if (batches > 16) batches = 16;
  b.chunk = batches * kBatch;
  b.chunks = (b.uses + b.chunk - 1) / b.chunk;
  const int64_t tile = int64_t{team_size(a)} * kColumns;
  b.tiles = (a.vector_length + tile - 1) / tile;
  b.counters = (a.num_vectors * b.pieces + kScanTile - 1) / kScanTile * kScanTile;
  b.next = scratch.take<int32_t>(b.counters);
  b.tile_sum = scratch.take<int32_t>(b.counters / kScanTile);
  b.sorted = scratch.take<Use>(b.uses);
  b.product = scratch.take<double>(b.tiles, b.uses);
  b.leading = scratch.take<double>(b.chunks, a.vector_length);
  b.trailing = scratch.take<double>(b.chunks, a.vector_length);
  return b;
}

// The use at a position; its vector is -1 if that, or the row's slot, is out of range.
__device__ __forceinline__ Use use_at(const vbl_admixture &a, const int32_t *indices, const float *weights,
                                      int64_t position) {
  const int64_t row = static_cast<uint32_t>(position) / static_cast<uint32_t>(a.topk);
  Use use;
  use.position = static_cast<int32_t>(position);
  use.slot = a.slots != nullptr ? a.slots[row] : static_cast<int32_t>(row);
  use.weight = weights[position];
  use.vector = indices[position];
  if (static_cast<uint32_t>(use.vector) >= static_cast<uint32_t>(a.num_vectors) ||
      static_cast<uint32_t>(use.slot) >= static_cast<uint32_t>(a.rows))
    use.vector = -1;
  return use;
}

// A thread per use.
__global__ void __launch_bounds__(kCountThreads)
    count_uses(vbl_admixture a, Buffers b, const int32_t *indices, const float *weights) {
  const int64_t position = static_cast<int64_t>(blockIdx.x) * kCountThreads + threadIdx.x;
  const int vector = position < b.uses ? use_at(a, indices, weights, position).vector : -1;
  const unsigned peers = __match_any_sync(kAllLanes, vector);
  const unsigned lane = threadIdx.x % kWarp;
  if (vector >= 0 && (peers & ((1u << lane) - 1)) == 0)
    atomicAdd(b.next + vector * b.pieces + position / b.grain, __popc(peers));
}

// The sum of one value per thread, given to all; the inclusive sums up to each thread come back in `value`. scratch: a
// number per warp.
__device__ __forceinline__ int32_t scan_block(int32_t &value, int32_t *scratch) {
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
#pragma unroll
  for (int offset = 1; offset < kWarp; offset *= 2) {
    const int32_t before = __shfl_up_sync(kAllLanes, value, offset);
    if (lane >= offset) value += before;
  }
  if (lane == kWarp - 1) scratch[warp] = value;
  __syncthreads();
  int32_t total = 0, before = 0;
#pragma unroll
  for (int w = 0; w < kScanThreads / kWarp; ++w) {
    if (w == warp) before = total;
    total += scratch[w];
  }
  value += before;
  __syncthreads();
  return total;
}

__device__ __forceinline__ int64_t first_quad() {
  return (int64_t{blockIdx.x} * kScanThreads + threadIdx.x) * (kScanItems / 4);
}

// The values of a thread, next to each other, in `value`; their sum is returned.
__device__ __forceinline__ int32_t load_items(const int32_t *values, int32_t (&value)[kScanItems]) {
  const int4 *from = reinterpret_cast<const int4 *>(values) + first_quad();
  int32_t sum = 0;
#pragma unroll
  for (int i = 0; i < kScanItems / 4; ++i) {
    const int4 quad = from[i];
    value[4 * i] = quad.x;
    value[4 * i + 1] = quad.y;
    value[4 * i + 2] = quad.z;
    value[4 * i + 3] = quad.w;
    sum += quad.x + quad.y + quad.z + quad.w;
  }
  return sum;
}

// A block per tile: tile_sum.
__global__ void __launch_bounds__(kScanThreads) add_tiles(const int32_t *values, int32_t *tile_sum) {
  __shared__ int32_t warps[kScanThreads / kWarp];
  int32_t value[kScanItems];
  int32_t sum = load_items(values, value);
  const int32_t total = scan_block(sum, warps);
  if (threadIdx.x == 0) tile_sum[blockIdx.x] = total;
}

// A block per tile: its values become the sums of all before them.
__global__ void __launch_bounds__(kScanThreads) scan_tiles(const int32_t *tile_sum, int32_t *values) {
  __shared__ int32_t warps[kScanThreads / kWarp];
  int32_t before = 0;
  for (unsigned tile = threadIdx.x; tile < blockIdx.x; tile += kScanThreads) before += tile_sum[tile];
  before = scan_block(before, warps);  // of all earlier tiles
  int32_t value[kScanItems];
  const int32_t sum = load_items(values, value);
  int32_t upto = sum;
  scan_block(upto, warps);
  int32_t at = before + upto - sum;
  int4 *to = reinterpret_cast<int4 *>(values) + first_quad();
#pragma unroll
  for (int i = 0; i < kScanItems / 4; ++i) {
    int4 quad;
    quad.x = at;
    quad.y = quad.x + value[4 * i];
    quad.z = quad.y + value[4 * i + 1];
    quad.w = quad.z + value[4 * i + 2];
    at = quad.w + value[4 * i + 3];
    to[i] = quad;
  }
}

// A block of one warp per piece.
__global__ void __launch_bounds__(kWarp)
    place_uses(vbl_admixture a, Buffers b, const int32_t *indices, const float *weights) {
  const int64_t piece = blockIdx.x, begin = piece * b.grain;
  const int64_t end = begin + b.grain < b.uses ? begin + b.grain : b.uses;
  Use none;
  none.position = none.slot = 0;
  none.weight = 0;
  none.vector = -1;
  Use ahead = begin + threadIdx.x < end ? use_at(a, indices, weights, begin + threadIdx.x) : none;
  for (int64_t at = begin; at < end; at += kWarp) {
    const Use use = ahead;
    const int64_t following = at + kWarp + threadIdx.x;
    ahead = following < end ? use_at(a, indices, weights, following) : none;
    const unsigned peers = __match_any_sync(kAllLanes, use.vector);
    const int rank = __popc(peers & ((1u << threadIdx.x) - 1));
    const bool placed = use.vector >= 0;
    const int64_t counter = placed ? use.vector * b.pieces + piece : 0;
    const int32_t place = placed ? b.next[counter] : 0;
    __syncwarp();
    if (placed && rank == 0) b.next[counter] = place + __popc(peers);
    if (placed) b.sorted[place + rank] = use;
    __syncwarp();
  }
}

// Where a vector's uses begin in the sorted list, after place_uses; of num_vectors, where the list ends.
__device__ __forceinline__ int64_t first_use(const Buffers &b, int64_t vector) {
  return vector == 0 ? 0 : b.next[vector * b.pieces - 1];
}

// Halves the number of values: each lane keeps those of its half, added to those of the lane `offset` away.
template <int Half>
__device__ __forceinline__ void fold(double (&v)[kBatch], int offset, bool upper) {
#pragma unroll
  for (int i = 0; i < Half; ++i) {
    const double other = __shfl_xor_sync(kAllLanes, upper ? v[i] : v[i + Half], offset);
    v[i] = (upper ? v[i + Half] : v[i]) + other;
  }
}

// The partial or complete sum of a vector.
template <int V>
__device__ __forceinline__ void put(const double (&sum)[kColumns], int64_t column, int64_t stride, int64_t length,
                                    double *partial, float *complete) {
#pragma unroll
  for (int i = 0; i < kColumns / V; ++i) {
    const int64_t at = column + i * stride;
    if (at >= length) break;
    if (partial != nullptr) {
      if constexpr (V == 4) {
        double2 *pairs = reinterpret_cast<double2 *>(partial + at);
        __stwb(pairs, make_double2(sum[4 * i], sum[4 * i + 1]));
        __stwb(pairs + 1, make_double2(sum[4 * i + 2], sum[4 * i + 3]));
      } else {
        partial[at] = sum[i];
      }
    } else {
      float v[V];
#pragma unroll
      for (int c = 0; c < V; ++c) v[c] = static_cast<float>(sum[i * V + c]);
      store(complete + at, v);
    }
  }
}

// V columns of a lane stand together; Team lanes have a chunk.
template <int V, int Team>
__global__ void __launch_bounds__(kSumThreads)
    sum_uses(vbl_admixture a, Buffers b, const float *bank, const float *dpacked, float *dbank) {
  constexpr int64_t kStride = int64_t{V} * Team;
  const int64_t task = static_cast<int64_t>(blockIdx.x) * (kSumThreads / kWarp) + threadIdx.x / kWarp;
  const int lane = threadIdx.x % kWarp, member = lane % Team;
  const int64_t tile = task % b.tiles, chunk = task / b.tiles * (kWarp / Team) + lane / Team;
  const int64_t length = a.vector_length, column = tile * (Team * kColumns) + member * V;
  const int64_t begin = chunk * b.chunk, last = first_use(b, a.num_vectors);
  const int64_t end = begin + b.chunk < last ? begin + b.chunk : last;
  double *product = b.product + tile * b.uses;

  // What the chunk's ends share with its neighbours.
  int32_t before = -1, behind = -1;
  if (begin > 0 && begin < end) before = b.sorted[begin - 1].vector;
  if (begin < end && end < last) behind = b.sorted[end].vector;

  int32_t current = -1;
  double vector[kColumns], sum[kColumns];
#pragma unroll
  for (int c = 0; c < kColumns; ++c) vector[c] = sum[c] = 0;
  for (int64_t at = begin; at < begin + b.chunk; at += kBatch) {
    int32_t used[kBatch];
    float weight[kBatch];
    float du[kBatch][kColumns / V][V];
#pragma unroll
    for (int u = 0; u < kBatch; ++u) {
      used[u] = -1;
      weight[u] = 0;
      int64_t slot = 0;
      if (at + u < end) {
        const Use use = b.sorted[at + u];
        used[u] = use.vector;
        weight[u] = use.weight;
        slot = use.slot;
      }
#pragma unroll
      for (int i = 0; i < kColumns / V; ++i) {
        const int64_t here = column + i * kStride;
        load_inside(used[u] >= 0 && here < length, dpacked + slot * length + here, du[u][i]);
      }
    }
    double dot[kBatch];
#pragma unroll
    for (int u = 0; u < kBatch; ++u) {
      if (used[u] >= 0 && used[u] != current) {
        if (current >= 0)
          put<V>(sum, column, kStride, length, current == before ? b.leading + chunk * length : nullptr,
                 dbank + current * length);
        current = used[u];
#pragma unroll
        for (int i = 0; i < kColumns / V; ++i) {
          float x[V];
          load_inside(column + i * kStride < length, bank + current * length + column + i * kStride, x);
#pragma unroll
          for (int c = 0; c < V; ++c) {
            vector[i * V + c] = x[c];
            sum[i * V + c] = 0;
          }
        }
      }
      const double w = weight[u];
      dot[u] = 0;
#pragma unroll
      for (int c = 0; c < kColumns; ++c) {
        const double x = du[u][c / V][c % V];
        sum[c] = fma(w, x, sum[c]);
        dot[u] = fma(x, vector[c], dot[u]);
      }
    }
    // Each lane of eight comes to hold the product of one use.
    fold<4>(dot, 4, (member & 4) != 0);
    fold<2>(dot, 2, (member & 2) != 0);
    fold<1>(dot, 1, (member & 1) != 0);
#pragma unroll
    for (int offset = 8; offset < Team; offset *= 2) dot[0] += __shfl_xor_sync(kAllLanes, dot[0], offset);
    if (member < kBatch && at + member < end) product[b.sorted[at + member].position] = dot[0];
  }
  if (current >= 0)
    put<V>(sum, column, kStride, length,
           current == before   ? b.leading + chunk * length
           : current == behind ? b.trailing + chunk * length
                               : nullptr,
           dbank + current * length);
}

// The sum of a column of leading over chunks from .. to-1, in their order.
__device__ __forceinline__ double add_leading(const Buffers &b, int64_t length, int64_t column, int64_t from,
                                              int64_t to, double sum) {
  const double *partial = b.leading + column;
#pragma unroll 8
  for (int64_t chunk = from; chunk < to; ++chunk) sum += partial[chunk * length];
  return sum;
}

// A block for 32 columns of as many vectors as it has warps.
__device__ __forceinline__ void finish_bank(const vbl_admixture &a, const Buffers &b, int64_t block, float *dbank,
                                            double (&shared)[kFinishWarps][kWarp]) {
  const int64_t length = a.vector_length, tiles = (length + kWarp - 1) / kWarp;
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const int64_t column = block % tiles * kWarp + lane, first_vector = block / tiles * kFinishWarps;
  for (int v = 0; v < kFinishWarps && first_vector + v < a.num_vectors; ++v) {
    const int64_t vector = first_vector + v, begin = first_use(b, vector), end = first_use(b, vector + 1);
    const int64_t first = begin / b.chunk, last = begin < end ? (end - 1) / b.chunk : first;
    if (last - first <= kShort) {
      if (v != warp || column >= length) continue;
      if (begin == end) dbank[vector * length + column] = 0;
      if (first < last)
        dbank[vector * length + column] = static_cast<float>(
            add_leading(b, length, column, first + 1, last + 1, b.trailing[first * length + column]));
      continue;
    }
    // Each warp adds an equal part of the chunks, the first one with the vector's beginning.
    const int64_t n = last - first;
    double sum = 0;
    if (column < length)
      sum = add_leading(b, length, column, first + 1 + n * warp / kFinishWarps,
                        first + 1 + n * (warp + 1) / kFinishWarps, warp == 0 ? b.trailing[first * length + column] : 0);
    shared[warp][lane] = sum;
    __syncthreads();
    if (v == warp && column < length) {
      sum = shared[0][lane];
#pragma unroll
      for (int w = 1; w < kFinishWarps; ++w) sum += shared[w][lane];
      dbank[vector * length + column] = static_cast<float>(sum);
    }
    __syncthreads();
  }
}

__device__ __forceinline__ double product_of(const Buffers &b, int64_t position) {
  double product = b.product[position];
  for (int64_t tile = 1; tile < b.tiles; ++tile) product += b.product[tile * b.uses + position];
  return product;
}

// `team` lanes for a row.
__device__ __forceinline__ void finish_logits(const vbl_admixture &a, const Buffers &b, int64_t block, int team,
                                              const int32_t *indices, const float *weights, float *dlogits) {
  const int64_t row = block * (kFinishThreads / team) + threadIdx.x / team;
  const int64_t begin = row * a.topk, end = row < a.rows ? begin + a.topk : begin;
  double mean = 0;
  for (int64_t position = begin + threadIdx.x % team; position < end; position += team) {
    const Use use = use_at(a, indices, weights, position);
    mean += use.vector >= 0 ? use.weight * product_of(b, position) : __uint_as_float(0x7FC00000u);
  }
  for (int offset = team / 2; offset > 0; offset /= 2) mean += __shfl_xor_sync(kAllLanes, mean, offset);
  for (int64_t position = begin + threadIdx.x % team; position < end; position += team) {
    // A product out of range was never written, but then the mean is not a number.
    const double product = isnan(mean) ? mean : product_of(b, position);
    dlogits[position] = static_cast<float>(weights[position] * (product - mean));
  }
}

__global__ void __launch_bounds__(kFinishThreads)
    finish(vbl_admixture a, Buffers b, int64_t bank_blocks, int team, const int32_t *indices, const float *weights,
           float *dlogits, float *dbank) {
  __shared__ double shared[kFinishWarps][kWarp];
  const int64_t block = blockIdx.x;
  if (block < bank_blocks)
    finish_bank(a, b, block, dbank, shared);
  else
    finish_logits(a, b, block - bank_blocks, team, indices, weights, dlogits);
}

unsigned blocks_for(int64_t n, int64_t per_block) { return static_cast<unsigned>((n + per_block - 1) / per_block); }

template <int V, int Team>
void launch_sum_uses(cudaStream_t stream, const vbl_admixture &a, const Buffers &b, const float *bank,
                     const float *dpacked, float *dbank) {
  constexpr int64_t kChunks = kWarp / Team;
  const int64_t tasks = (b.chunks + kChunks - 1) / kChunks * b.tiles;
  VBL_LAUNCH((sum_uses<V, Team>), blocks_for(tasks, kSumThreads / kWarp), kSumThreads, 0, stream, a, b, bank, dpacked,
             dbank);
}

// Numbers of uses, and of blocks of sum_uses and finish, are 32 bits wide.
vbl_status check_size(const vbl_admixture &a) {
  if (a.rows * a.topk > INT32_MAX)
    return fail(VBL_UNSUPPORTED,
                "vbl_admixture_backward: rows · topk must be at most 2147483647 on CUDA devices, found %lld",
                static_cast<long long>(a.rows * a.topk));
  if (a.rows * a.topk * a.vector_length > int64_t{1} << 42 || int64_t{a.num_vectors} * a.vector_length > int64_t{1}
                                                                                                             << 38)
    return fail(VBL_UNSUPPORTED,
                "vbl_admixture_backward: rows · topk · vector_length must be at most 2^42, and num_vectors · "
                "vector_length at most 2^38, on CUDA devices");
  return VBL_OK;
}

}  // namespace

int64_t admixture_backward_scratch_bytes(const vbl_admixture &a) {
  if (const vbl_status refused = check_size(a); refused != VBL_OK) return -static_cast<int64_t>(refused);
  Scratch scratch;
  lay_out(scratch, a);
  return scratch.bytes();
}

vbl_status admixture_backward(vbl_stream *stream, const vbl_admixture &a, const float *bank, const int32_t *indices,
                              const float *weights, const float *dpacked, float *dlogits, float *dbank, void *scratch) {
  VBL_CUDA_OP("vbl_admixture_backward", stream);
  Scratch memory(scratch);
  const Buffers b = lay_out(memory, a);
  const cudaStream_t cuda = handle(stream);
  const unsigned tiles = blocks_for(b.counters, kScanTile);
  VBL_TRY(status_of("vbl_admixture_backward",
                    cudaMemsetAsync(b.next, 0, static_cast<size_t>(b.counters) * sizeof(int32_t), cuda)));
  VBL_LAUNCH(count_uses, blocks_for(b.uses, kCountThreads), kCountThreads, 0, cuda, a, b, indices, weights);
  VBL_LAUNCH(add_tiles, tiles, kScanThreads, 0, cuda, b.next, b.tile_sum);
  VBL_LAUNCH(scan_tiles, tiles, kScanThreads, 0, cuda, b.tile_sum, b.next);
  VBL_LAUNCH(place_uses, static_cast<unsigned>(b.pieces), kWarp, 0, cuda, a, b, indices, weights);

  const bool quads = a.vector_length % 4 == 0 && aligned(bank, 16) && aligned(dpacked, 16) && aligned(dbank, 16);
  const bool small = team_size(a) == 8;
  if (quads && small) launch_sum_uses<4, 8>(cuda, a, b, bank, dpacked, dbank);
  if (quads && !small) launch_sum_uses<4, 32>(cuda, a, b, bank, dpacked, dbank);
  if (!quads && small) launch_sum_uses<1, 8>(cuda, a, b, bank, dpacked, dbank);
  if (!quads && !small) launch_sum_uses<1, 32>(cuda, a, b, bank, dpacked, dbank);

  int team = 1;
  while (team < kWarp && team < a.topk) team *= 2;
  const int64_t column_tiles = (a.vector_length + kWarp - 1) / kWarp;
  const int64_t bank_blocks = (a.num_vectors + kFinishWarps - 1) / kFinishWarps * column_tiles;
  const int64_t row_blocks = (a.rows + kFinishThreads / team - 1) / (kFinishThreads / team);
  VBL_LAUNCH(finish, static_cast<unsigned>(bank_blocks + row_blocks), kFinishThreads, 0, cuda, a, b, bank_blocks, team,
             indices, weights, dlogits, dbank);
  return launched("vbl_admixture_backward");
}

}  // namespace cuda
}  // namespace vbl
