// vbl_active_load, vbl_active_store, vbl_active_copy: the active-set state from dense arrays, back, and into another.
//
// Floors: load reads the logits, 4 · rows · h bytes, and moments, 8 · rows · h, twice, once for the need; store
// writes moments and one 32-byte sector per active entry and array; copy reads and writes 16 bytes per active entry.
// None of them is part of a step.
//
// A warp per row, or with topk > 32 a block per row for load. What does not fit changes nothing but max_count, which
// is the need: a first kernel finds it, and all blocks of the next read it and do nothing.
#include "active_set/active_set.cuh"

namespace vbl {
namespace cuda {
namespace {

constexpr int kThreads = kRowWarps * kWarp;

unsigned blocks_of_rows(int64_t rows) { return RowShare::blocks_for(rows, 1); }

// *max_count = max(*max_count, the greatest of the counts that the block's warps bring).
__device__ __forceinline__ void note_count(int count, int32_t *max_count) {
  __shared__ int counts[kRowWarps];
  if (lane_of_thread() == 0) counts[warp_of_thread()] = count;
  __syncthreads();
  int highest = 0;
#pragma unroll
  for (int warp = 0; warp < kRowWarps; ++warp) highest = max(highest, counts[warp]);
  if (threadIdx.x == 0) atomicMax(max_count, highest);
}

__device__ __forceinline__ bool moved(const float *exp_avg, const float *exp_avg_sq, int64_t i) {
  return exp_avg[i] != 0 || exp_avg_sq[i] != 0;
}

__global__ void __launch_bounds__(kThreads)
    count_moved(int64_t rows, int h, const float *exp_avg, const float *exp_avg_sq, int32_t *max_count) {
  const RowShare share(1);
  const int n = share.row < rows ? h : 0;
  int count = 0;
  for (int i = lane_of_thread(); i < n; i += kWarp) count += moved(exp_avg, exp_avg_sq, share.row * h + i) ? 1 : 0;
  for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) count += __shfl_xor_sync(kAllLanes, count, lanes);
  note_count(count, max_count);
}

// By a warp: the row's list, in ascending order. Returns its length.
__device__ __forceinline__ int list_moved(const vbl_active &active, int64_t row, int h, const float *logits,
                                          const float *exp_avg, const float *exp_avg_sq) {
  const int lane = lane_of_thread();
  const int64_t list = row * active.capacity, dense = row * h;
  int count = 0;
  for (int base = 0; exp_avg != nullptr && base < h; base += kWarp) {
    const int i = base + lane;
    const bool active_here = i < h && moved(exp_avg, exp_avg_sq, dense + i);
    const unsigned all = __ballot_sync(kAllLanes, active_here);
    if (active_here) {
      const int64_t at = list + count + __popc(all & lanes_below(lane));
      active.index[at] = i;
      active.logit[at] = logits[dense + i];
      active.exp_avg[at] = exp_avg[dense + i];
      active.exp_avg_sq[at] = exp_avg_sq[dense + i];
    }
    count += __popc(all);
  }
  if (lane == 0) active.count[row] = count;
  __syncwarp();
  return count;
}

template <bool kVector>
__global__ void __launch_bounds__(kThreads) load_by_warps(int64_t rows, int h, vbl_active active, const float *logits,
                                                          const float *exp_avg, const float *exp_avg_sq) {
  __shared__ Key keys[kRowWarps][kQueueKeys];
  const RowShare share(1);
  if (share.row >= rows || *active.max_count > active.capacity) return;
  const int count = list_moved(active, share.row, h, logits, exp_avg, exp_avg_sq);
  find_candidates_by_warp<kVector>(active, share.row, count, h, logits + share.row * h, keys[warp_of_thread()]);
}

__global__ void __launch_bounds__(kBlockThreads)
    load_by_blocks(int64_t rows, int h, vbl_active active, const float *logits, const float *exp_avg,
                   const float *exp_avg_sq, int32_t *place) {
  __shared__ BlockSelect shared;
  const bool fits = *active.max_count <= active.capacity;
  for (int64_t row = blockIdx.x; fits && row < rows; row += gridDim.x) {
    if (warp_of_thread() == 0) list_moved(active, row, h, logits, exp_avg, exp_avg_sq);
    __syncthreads();
    find_candidates_by_block(active, row, active.count[row], h, logits + row * h, place + blockIdx.x * int64_t{h},
                             &shared);
  }
}

__global__ void __launch_bounds__(kThreads)
    store_lists(int64_t rows, int h, vbl_active active, float *logits, float *exp_avg, float *exp_avg_sq) {
  const RowShare share(1);
  if (share.row >= rows) return;
  const int64_t list = share.row * active.capacity, dense = share.row * h;
  const int count = active.count[share.row];
  for (int i = lane_of_thread(); i < count; i += kWarp) {
    const int64_t at = dense + active.index[list + i];
    logits[at] = active.logit[list + i];
    if (exp_avg != nullptr) exp_avg[at] = active.exp_avg[list + i];
    if (exp_avg_sq != nullptr) exp_avg_sq[at] = active.exp_avg_sq[list + i];
  }
}

__global__ void __launch_bounds__(kThreads) find_max_count(int64_t rows, const int32_t *count, int32_t *max_count) {
  const int64_t row = blockIdx.x * int64_t{kThreads} + threadIdx.x;
  int highest = row < rows ? count[row] : 0;
  for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) highest = max(highest, __shfl_xor_sync(kAllLanes, highest, lanes));
  note_count(highest, max_count);
}

__global__ void __launch_bounds__(kThreads) copy_lists(int64_t rows, vbl_active from, vbl_active to) {
  const RowShare share(1);
  if (share.row >= rows || *to.max_count > to.capacity) return;
  const int64_t row = share.row, in = row * from.capacity, out = row * to.capacity;
  const int count = from.count[row], lane = lane_of_thread();
  for (int i = lane; i < count; i += kWarp) {
    to.index[out + i] = from.index[in + i];
    to.logit[out + i] = from.logit[in + i];
    to.exp_avg[out + i] = from.exp_avg[in + i];
    to.exp_avg_sq[out + i] = from.exp_avg_sq[in + i];
  }
  // The best candidates come first: those that do not fit are found again when they are needed.
  const int candidates = min(from.candidate_count[row], to.candidates);
  for (int i = lane; i < candidates; i += kWarp)
    to.candidate_index[row * to.candidates + i] = from.candidate_index[row * from.candidates + i];
  if (lane == 0) {
    to.count[row] = count;
    to.candidate_count[row] = candidates;
  }
}

}  // namespace

vbl_status active_load(vbl_stream *stream, const vbl_admixture &a, const vbl_active &active, const float *logits,
                       const float *exp_avg, const float *exp_avg_sq, const ActiveScratch &scratch) {
  VBL_CUDA_OP("vbl_active_load", stream);
  const cudaStream_t on = handle(stream);
  VBL_TRY(status_of("vbl_active_load", cudaMemsetAsync(active.max_count, 0, sizeof *active.max_count, on)));
  const unsigned blocks = blocks_of_rows(a.rows);
  if (exp_avg != nullptr)
    VBL_LAUNCH(count_moved, blocks, kThreads, 0, on, a.rows, a.num_vectors, exp_avg, exp_avg_sq, active.max_count);
  if (a.topk > kWarpTopK) {
    VBL_LAUNCH(load_by_blocks, static_cast<unsigned>(scratch.place_rows), kBlockThreads, 0, on, a.rows, a.num_vectors,
               active, logits, exp_avg, exp_avg_sq, scratch.place);
  } else if (aligned(logits, 16) && a.num_vectors % 4 == 0) {
    VBL_LAUNCH((load_by_warps<true>), blocks, kThreads, 0, on, a.rows, a.num_vectors, active, logits, exp_avg,
               exp_avg_sq);
  } else {
    VBL_LAUNCH((load_by_warps<false>), blocks, kThreads, 0, on, a.rows, a.num_vectors, active, logits, exp_avg,
               exp_avg_sq);
  }
  return launched("vbl_active_load");
}

vbl_status active_store(vbl_stream *stream, const vbl_admixture &a, const vbl_active &active, float *logits,
                        float *exp_avg, float *exp_avg_sq) {
  VBL_CUDA_OP("vbl_active_store", stream);
  for (float *const moment : {exp_avg, exp_avg_sq}) {
    if (moment == nullptr) continue;
    const size_t bytes = static_cast<size_t>(a.rows) * static_cast<size_t>(a.num_vectors) * sizeof *moment;
    VBL_TRY(status_of("vbl_active_store", cudaMemsetAsync(moment, 0, bytes, handle(stream))));
  }
  VBL_LAUNCH(store_lists, blocks_of_rows(a.rows), kThreads, 0, handle(stream), a.rows, a.num_vectors, active, logits,
             exp_avg, exp_avg_sq);
  return launched("vbl_active_store");
}

vbl_status active_copy(vbl_stream *stream, const vbl_admixture &a, const vbl_active &from, const vbl_active &to) {
  VBL_CUDA_OP("vbl_active_copy", stream);
  const cudaStream_t on = handle(stream);
  VBL_TRY(status_of("vbl_active_copy", cudaMemsetAsync(to.max_count, 0, sizeof *to.max_count, on)));
  VBL_LAUNCH(find_max_count, static_cast<unsigned>((a.rows + kThreads - 1) / kThreads), kThreads, 0, on, a.rows,
             from.count, to.max_count);
  VBL_LAUNCH(copy_lists, blocks_of_rows(a.rows), kThreads, 0, on, a.rows, from, to);
  return launched("vbl_active_copy");
}

}  // namespace cuda
}  // namespace vbl
