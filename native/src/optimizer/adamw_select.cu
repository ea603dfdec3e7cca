// vbl_adamw_select: dense AdamW on logits and moments [rows, h] with a gradient that is zero but for k entries of a
// row, and the k best logits of each row after it, in one pass.
//
// Floor: 12 · rows · h bytes read, and the 32-byte sectors written in which an entry changes. Where all entries change,
// that is 1.92 GB for the linear layers of Llama-2-7B (rows 39,040, h 2048), 0.45 ms at 4.3 TB/s. Without weight decay,
// one that was never selected has moments of 0 and does not change, and a lane whose four elements keep their bits does
// not store them. Of 2048 entries about 130 are active, which lie in two fifths of the sectors: 1.35 GB, 0.31 ms.
//
// k <= 32: a warp per row, or a block per row where rows are few and long, as select.cu. Lane j holds the j-th selected
// index and its gradient; one ballot per chunk of 128 tells whether the chunk has any of them. A lane has three 16-byte
// loads under way, and 24 warps or more of an SM do: 36 KB. (Two chunks at a time: 82 registers, 16 warps.)
// Estimated, not measured: about 35 instructions per element and lane, most roots and divisions being left out where
// moments are 0 (adamw.cuh), make 90 M warp instructions, which 132 SMs of four schedulers at 1.75 GHz issue in
// 0.1 ms.
// k > 32: a block per row; the gradients are sorted by index, in the arrays of the selection to come, and every element
// looks for its own by bisection; then select.cu's path for such a k.
#include "admixture/select.cuh"
#include "admixture/topk_block.cuh"
#include "optimizer/adamw.cuh"
#include "runtime/chunk.cuh"

namespace vbl {
namespace cuda {
namespace {

constexpr int kBlocksPerSM = 3;  // at least: 80 registers

template <typename Top, bool kVector>
__global__ void __launch_bounds__(kRowWarps *kWarp, kBlocksPerSM)
    adamw_select_by_warps(int64_t rows, int h, int k, int parts, const vbl_step *step, const vbl_adamw_group *group,
                          float *logits, const float *dlogits, float *exp_avg, float *exp_avg_sq, int32_t *indices,
                          float *weights, int64_t *bad_row) {
  __shared__ Key keys[kRowWarps][kQueueKeys];
  const RowShare share(parts);
  const int lane = lane_of_thread();
  const bool any = share.row < rows;
  const int n = any ? h : 0;
  const int64_t at = share.row * h;
  const AdamW adamw(step, group);
  const bool mine = any && lane < k;
  const int selected = mine ? indices[share.row * k + lane] : -1;
  const float gradient = mine ? adamw.gradient(dlogits[share.row * k + lane]) : 0;
  Top top(k, keys[warp_of_thread()]);

  for (int base = share.part * kChunk; base < n; base += parts * kChunk) {
    float p[4], m[4], v[4], g[4] = {0, 0, 0, 0};
    load_chunk<kVector>(logits + at, base, n, lane, p);
    load_chunk<kVector>(exp_avg + at, base, n, lane, m);
    load_chunk<kVector>(exp_avg_sq + at, base, n, lane, v);
    unsigned within = __ballot_sync(kAllLanes, selected >= base && selected < base + kChunk);
    for (; within != 0; within &= within - 1) {
      const int j = __ffs(static_cast<int>(within)) - 1;
      const int index = __shfl_sync(kAllLanes, selected, j);
      const float of_index = __shfl_sync(kAllLanes, gradient, j);
#pragma unroll
      for (int c = 0; c < 4; ++c) g[c] = chunk_at<kVector>(base, lane, c) == index ? of_index : g[c];
    }
    unsigned p_changes = 0, m_changes = 0, v_changes = 0;
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      const float old_p = p[c], old_m = m[c], old_v = v[c];
      adamw.update(g[c], &p[c], &m[c], &v[c]);
      p_changes |= __float_as_uint(old_p) ^ __float_as_uint(p[c]);
      m_changes |= __float_as_uint(old_m) ^ __float_as_uint(m[c]);
      v_changes |= __float_as_uint(old_v) ^ __float_as_uint(v[c]);
      const int i = chunk_at<kVector>(base, lane, c);
      top.offer(i < n ? key_of(p[c], i) : kNoKey);
    }
    if (p_changes != 0) store_chunk<kVector>(logits + at, base, n, lane, p);
    if (m_changes != 0) store_chunk<kVector>(exp_avg + at, base, n, lane, m);
    if (v_changes != 0) store_chunk<kVector>(exp_avg_sq + at, base, n, lane, v);
  }
  if (parts > 1) combine_warps(&top, k, keys);
  if (!any || (parts > 1 && warp_of_thread() != 0)) return;
  top.finish();
  store_selection(top.key(lane), share.row, k, indices, weights, bad_row);
}

// Gradients by ascending index.
struct Gradients {
  int32_t *index;
  float *gradient;
  __device__ Key key(int i) const { return static_cast<uint32_t>(~index[i]); }
  __device__ void swap(int i, int j) const {
    const int32_t index_i = index[i];
    const float gradient_i = gradient[i];
    index[i] = index[j], gradient[i] = gradient[j];
    index[j] = index_i, gradient[j] = gradient_i;
  }
  __device__ float of(int n, int32_t wanted) const {
    int begin = 0;
    for (int end = n; begin < end;) {
      const int middle = begin + (end - begin) / 2;
      if (static_cast<uint32_t>(index[middle]) < static_cast<uint32_t>(wanted)) {
        begin = middle + 1;
      } else {
        end = middle;
      }
    }
    return begin < n && index[begin] == wanted ? gradient[begin] : 0;
  }
};

__global__ void __launch_bounds__(kBlockThreads)
    adamw_select_by_blocks(int h, int k, const vbl_step *step, const vbl_adamw_group *group, float *logits,
                           const float *dlogits, float *exp_avg, float *exp_avg_sq, int32_t *indices, float *weights,
                           int64_t *bad_row) {
  __shared__ BlockSelect shared;
  const int64_t row = blockIdx.x, at = row * h;
  const AdamW adamw(step, group);
  const Gradients gradients = {indices + row * k, weights + row * k};
  for (int j = static_cast<int>(threadIdx.x); j < k; j += kBlockThreads)
    gradients.gradient[j] = adamw.gradient(dlogits[row * k + j]);
  __syncthreads();
  block_sort(k, gradients);
  for (int i = static_cast<int>(threadIdx.x); i < h; i += kBlockThreads) {
    float p = logits[at + i], m = exp_avg[at + i], v = exp_avg_sq[at + i];
    adamw.update(gradients.of(k, i), &p, &m, &v);
    logits[at + i] = p;
    exp_avg[at + i] = m;
    exp_avg_sq[at + i] = v;
  }
  // A thread reads its own logits below, and the gradients have been looked at when a barrier lets the first of the
  // selection be written.
  block_select(h, k, [&](int i) { return key_of(logits[at + i], i); }, row, indices, weights, bad_row, &shared);
}

template <typename Top>
void update_rows(cudaStream_t stream, const vbl_admixture &a, const vbl_step *step, const vbl_adamw_group *group,
                 float *logits, const float *dlogits, float *exp_avg, float *exp_avg_sq, int32_t *indices,
                 float *weights, int64_t *bad_row) {
  const int parts = RowShare::parts_for(a.rows, a.num_vectors);
  const unsigned blocks = RowShare::blocks_for(a.rows, parts);
  if (aligned(logits, 16) && aligned(exp_avg, 16) && aligned(exp_avg_sq, 16) && a.num_vectors % 4 == 0) {
    VBL_LAUNCH((adamw_select_by_warps<Top, true>), blocks, kRowWarps * kWarp, 0, stream, a.rows, a.num_vectors, a.topk,
               parts, step, group, logits, dlogits, exp_avg, exp_avg_sq, indices, weights, bad_row);
  } else {
    VBL_LAUNCH((adamw_select_by_warps<Top, false>), blocks, kRowWarps * kWarp, 0, stream, a.rows, a.num_vectors, a.topk,
               parts, step, group, logits, dlogits, exp_avg, exp_avg_sq, indices, weights, bad_row);
  }
}

}  // namespace

vbl_status adamw_select(vbl_stream *stream, const vbl_admixture &a, const vbl_step *step, const vbl_adamw_group *group,
                        float *logits, const float *dlogits, float *exp_avg, float *exp_avg_sq, int32_t *indices,
                        float *weights, int64_t *bad_row) {
  VBL_CUDA_OP("vbl_adamw_select", stream);
  const cudaStream_t on = handle(stream);
  VBL_TRY(status_of("vbl_adamw_select", cudaMemsetAsync(bad_row, 0xFF, sizeof *bad_row, on)));
  if (a.topk <= kWarpTopK) {
    with_top(a.topk, [&](auto *top) {
      using Top = std::remove_pointer_t<decltype(top)>;
      update_rows<Top>(on, a, step, group, logits, dlogits, exp_avg, exp_avg_sq, indices, weights, bad_row);
    });
  } else {
    VBL_LAUNCH(adamw_select_by_blocks, static_cast<unsigned>(a.rows), kBlockThreads, 0, on, a.num_vectors, a.topk, step,
               group, logits, dlogits, exp_avg, exp_avg_sq, indices, weights, bad_row);
  }
  return launched("vbl_adamw_select");
}

}  // namespace cuda
}  // namespace vbl
