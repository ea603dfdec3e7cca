// vbl_select: logits [rows, h] -> the k best of each row, indices and weights [rows, k]. Every logit is read once.
//
// Floor: 4 · rows · h bytes; 320 MB for the linear layers of Llama-2-7B (rows 39,040, h 2048), 0.08 ms at 4.3 TB/s.
//
// k <= 32: a warp per row, eight rows per block; where rows are few and long, the eight warps of a block share one. A
// lane has up to four 16-byte loads under way before it uses the first, 2 KB per warp. Estimated, not measured: k = 2
// costs about 16 instructions per element and lane, 1,024 for a row of 2048, and 130 to merge; 39,040 rows make 45 M
// warp instructions, which 132 SMs of four schedulers at 1.75 GHz issue in 0.05 ms, within the time of the reads. h
// not a multiple of 4, or logits not aligned to 16 bytes: the same with 4-byte loads, still whole lines per warp.
// k > 32: a block per row, five to eight passes over it (topk_block.cuh), all but the first from L2.
//
// Considered: comparing whole chunks with the k-th best and doing nothing else in most (fewer instructions on random
// rows, an order of magnitude more on ascending ones); eight lanes per row for h < 128 (the models that have such an
// h have 2,000 rows, and then latency decides and not the number of instructions).
#include "admixture/select.cuh"
#include "admixture/select.h"
#include "admixture/topk_block.cuh"
#include "runtime/chunk.cuh"

namespace vbl {
namespace cuda {
namespace {

constexpr int kInFlight = 4;  // chunks

template <typename Top, bool kVector>
__global__ void __launch_bounds__(kRowWarps *kWarp)
    select_by_warps(int64_t rows, int h, int k, int parts, const float *logits, int32_t *indices, float *weights,
                    int64_t *bad_row) {
  __shared__ Key keys[kRowWarps][kQueueKeys];
  const RowShare share(parts);
  const int lane = lane_of_thread();
  const bool any = share.row < rows;
  const int n = any ? h : 0;
  const float *row = logits + share.row * h;
  Top top(k, keys[warp_of_thread()]);
  for (int base = share.part * kChunk; base < n; base += kInFlight * parts * kChunk) {
    float x[kInFlight][4];
#pragma unroll
    for (int u = 0; u < kInFlight; ++u) load_chunk<kVector>(row, base + u * parts * kChunk, n, lane, x[u]);
#pragma unroll
    for (int u = 0; u < kInFlight; ++u) {
      const int chunk = base + u * parts * kChunk;
      if (chunk >= n) continue;
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        const int i = chunk_at<kVector>(chunk, lane, c);
        top.offer(i < n ? key_of(x[u][c], i) : kNoKey);
      }
    }
  }
  if (parts > 1) combine_warps(&top, k, keys);
  if (!any || (parts > 1 && warp_of_thread() != 0)) return;
  top.finish();
  store_selection(top.key(lane), share.row, k, indices, weights, bad_row);
}

__global__ void __launch_bounds__(kBlockThreads)
    select_by_blocks(int h, int k, const float *logits, int32_t *indices, float *weights, int64_t *bad_row) {
  __shared__ BlockSelect shared;
  const int64_t row = blockIdx.x;
  const float *x = logits + row * h;
  block_select(h, k, [&](int i) { return key_of(x[i], i); }, row, indices, weights, bad_row, &shared);
}

template <typename Top>
void select_rows(cudaStream_t stream, const vbl_admixture &a, const float *logits, int32_t *indices, float *weights,
                 int64_t *bad_row) {
  const int parts = RowShare::parts_for(a.rows, a.num_vectors);
  const unsigned blocks = RowShare::blocks_for(a.rows, parts);
  if (aligned(logits, 16) && a.num_vectors % 4 == 0) {
    VBL_LAUNCH((select_by_warps<Top, true>), blocks, kRowWarps * kWarp, 0, stream, a.rows, a.num_vectors, a.topk, parts,
               logits, indices, weights, bad_row);
  } else {
    VBL_LAUNCH((select_by_warps<Top, false>), blocks, kRowWarps * kWarp, 0, stream, a.rows, a.num_vectors, a.topk,
               parts, logits, indices, weights, bad_row);
  }
}

}  // namespace

vbl_status select(vbl_stream *stream, const vbl_admixture &a, const float *logits, int32_t *indices, float *weights,
                  int64_t *bad_row) {
  VBL_CUDA_OP("vbl_select", stream);
  VBL_TRY(status_of("vbl_select", cudaMemsetAsync(bad_row, 0xFF, sizeof *bad_row, handle(stream))));
  if (a.topk <= kWarpTopK) {
    with_top(a.topk, [&](auto *top) {
      using Top = std::remove_pointer_t<decltype(top)>;
      select_rows<Top>(handle(stream), a, logits, indices, weights, bad_row);
    });
  } else {
    VBL_LAUNCH(select_by_blocks, static_cast<unsigned>(a.rows), kBlockThreads, 0, handle(stream), a.num_vectors, a.topk,
               logits, indices, weights, bad_row);
  }
  return launched("vbl_select");
}

}  // namespace cuda
}  // namespace vbl
