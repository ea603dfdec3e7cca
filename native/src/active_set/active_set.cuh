// The search for a row's candidates on CUDA: its best inactive entries, best first.
#pragma once
#include "active_set/active_set.h"
#include "admixture/topk_block.cuh"
#include "runtime/chunk.cuh"

namespace vbl {
namespace cuda {

// Whether the list has an index; by all lanes of a warp.
__device__ __forceinline__ bool lists(const int32_t *list, int count, int32_t index) {
  bool found = false;
  for (int i = lane_of_thread(); i < count; i += kWarp) found = found || list[i] == index;
  return __any_sync(kAllLanes, found) != 0;
}

// By a warp. x: the row's dense logits, h of them. Writes and returns the number of candidates. Each 32 of them cost
// a scan of the row, in which only entries that would get in are looked up in the list, by the warp together.
template <bool kVector>
__device__ int find_candidates_by_warp(const vbl_active &active, int64_t row, int count, int h, const float *x,
                                       Key *queue) {
  const int lane = lane_of_thread();
  const int32_t *list = active.index + row * active.capacity;
  int32_t *candidate = active.candidate_index + row * active.candidates;
  const int most = min(active.candidates, h - count);
  int found = 0;
  Key limit = ~kNoKey;  // what is greater was found before
  while (found < most) {
    const int wanted = min(kWarp, most - found);
    Queue top(wanted, queue);
    for (int base = 0; base < h; base += kChunk) {
      float of_chunk[4];
      load_chunk<kVector>(x, base, h, lane, of_chunk);
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        const int i = chunk_at<kVector>(base, lane, c);
        const Key key = i < h ? key_of(of_chunk[c], i) : kNoKey;
        bool gets_in = key > top.worst() && key <= limit;
        for (unsigned asked = count > 0 ? __ballot_sync(kAllLanes, gets_in) : 0; asked != 0; asked &= asked - 1) {
          const int asking = __ffs(static_cast<int>(asked)) - 1;
          const bool active_already = lists(list, count, __shfl_sync(kAllLanes, i, asking));
          if (lane == asking) gets_in = !active_already;
        }
        top.offer(gets_in ? key : kNoKey);
      }
    }
    top.finish();
    const Key key = top.key(lane);
    const int got = __popc(__ballot_sync(kAllLanes, lane < wanted && key != kNoKey));
    if (lane < got) candidate[found + lane] = index_of(key);
    found += got;
    if (got < kWarp) break;
    limit = __shfl_sync(kAllLanes, key, kWarp - 1) - 1;
  }
  if (lane == 0) active.candidate_count[row] = found;
  __syncwarp();
  return found;
}

// Whether place, a block's map of indices, has a place for index in an array of n that holds them: of a map that is
// never cleared, only what the array confirms counts (Briggs and Torczon, "An efficient representation for sparse
// sets", 1993).
__device__ __forceinline__ bool placed(const int32_t *place, int32_t index, int n, const int32_t *array) {
  const int32_t at = place[index];
  return at >= 0 && at < n && array[at] == index;
}

// Candidates, in the order of their logits.
struct Candidates {
  int32_t *index;
  const float *row_logits;
  __device__ Key key(int i) const { return key_of(row_logits[index[i]], index[i]); }
  __device__ void swap(int i, int j) const {
    const int32_t index_i = index[i];
    index[i] = index[j];
    index[j] = index_i;
  }
};

// The same by a block, with a map of its own.
__device__ inline int find_candidates_by_block(const vbl_active &active, int64_t row, int count, int h, const float *x,
                                               int32_t *place, BlockSelect *shared) {
  const int32_t *list = active.index + row * active.capacity;
  const Candidates candidates = {active.candidate_index + row * active.candidates, x};
  for (int i = static_cast<int>(threadIdx.x); i < count; i += kBlockThreads) place[list[i]] = i;
  const auto keys = [&](int i) { return placed(place, i, count, list) ? kNoKey : key_of(x[i], i); };
  const Key least = kth_best(h, active.candidates, keys, shared);
  const int found = gather(h, least, keys, [&](int at, Key key) { candidates.index[at] = index_of(key); }, shared);
  block_sort(found, candidates);
  if (threadIdx.x == 0) active.candidate_count[row] = found;
  return found;
}

}  // namespace cuda
}  // namespace vbl
