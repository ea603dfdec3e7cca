// The k best of a stream of logits on CUDA, k <= 32, by one warp; topk.h has the order, topk_block.cuh any larger k.
//
// An entry is one 64-bit key: the logit's bits so flipped that unsigned integers order them (NaN above all, -0 as +0),
// and below them the complement of its index. Keys are unique and the greater one stands first, so that neither the
// order in which entries come nor which lane holds them can show in the result.
//
// Two forms with the same interface. Both are offered one key per lane at a time, kNoKey for none:
//   BestOf<K>  k <= K = 1, 2, 4: every lane keeps its own K best in registers, no lane waits for another and no data is
//              slower than other; at the end five butterfly rounds merge them. About 5 instructions make a key
//              and 4 + 6 (K - 1) insert it, whatever it is.
//   Queue      k <= 32: lane j holds the warp's j-th best. A key that beats the k-th is queued in shared memory; 32
//              queued ones are sorted (15 exchanges by shuffle) and merged (6) at once. Of n keys in random order about
//              k (1 + ln(n / k)) get that far; ascending ones all do, which costs 21 exchanges per 32 keys and no more.
#pragma once
#include <cstdint>
#include <type_traits>

#include "admixture/topk.h"
#include "runtime/launch.cuh"

namespace vbl {
namespace cuda {

using Key = unsigned long long;

constexpr Key kNoKey = 0;       // stands behind the key of every entry
constexpr int kQueueKeys = 64;  // a warp's queue in shared memory
constexpr int kRowWarps = 8;    // warps of a block that selects

__device__ __forceinline__ int lane_of_thread() { return static_cast<int>(threadIdx.x) % kWarp; }
__device__ __forceinline__ int warp_of_thread() { return static_cast<int>(threadIdx.x) / kWarp; }
__device__ __forceinline__ unsigned lanes_below(int lane) { return (1u << lane) - 1; }

__device__ __forceinline__ Key key_of(float logit, int32_t index) {
  const uint32_t bits = __float_as_uint(logit + 0.0f);
  const uint32_t sign = static_cast<uint32_t>(static_cast<int32_t>(bits) >> 31);
  const uint32_t ordered = logit != logit ? 0xFFFFFFFFu : bits ^ (sign | 0x80000000u);
  return static_cast<Key>(ordered) << 32 | ~static_cast<uint32_t>(index);
}

__device__ __forceinline__ int32_t index_of(Key key) { return static_cast<int32_t>(~static_cast<uint32_t>(key)); }

__device__ __forceinline__ float logit_of(Key key) {
  const uint32_t ordered = static_cast<uint32_t>(key >> 32);
  return __uint_as_float((ordered & 0x80000000u) != 0 ? ordered ^ 0x80000000u : ~ordered);
}

__device__ __forceinline__ Key greater_of(Key a, Key b) { return a > b ? a : b; }
__device__ __forceinline__ Key less_of(Key a, Key b) { return a > b ? b : a; }

template <int K>
class BestOf {
 public:
  __device__ __forceinline__ BestOf(int, Key *) {
#pragma unroll
    for (int i = 0; i < K; ++i) best_[i] = kNoKey;
  }

  __device__ __forceinline__ void offer(Key key) {
#pragma unroll
    for (int i = 0; i < K; ++i) {
      const Key held = best_[i];
      best_[i] = greater_of(held, key);
      key = less_of(held, key);
    }
  }

  // After the last offer, by all lanes: key(j), for lane j, is then the warp's j-th best, or kNoKey.
  __device__ __forceinline__ void finish() {
#pragma unroll
    for (int lanes = 1; lanes < kWarp; lanes *= 2) {
      Key other[K];
#pragma unroll
      for (int i = 0; i < K; ++i) other[i] = __shfl_xor_sync(kAllLanes, best_[i], lanes);
#pragma unroll
      for (int i = 0; i < K; ++i) best_[i] = greater_of(best_[i], other[K - 1 - i]);  // bitonic, and the best K of both
#pragma unroll
      for (int distance = K / 2; distance > 0; distance /= 2) {
#pragma unroll
        for (int i = 0; i < K; ++i) {
          if ((i & distance) != 0) continue;
          const Key a = best_[i], b = best_[i + distance];
          best_[i] = greater_of(a, b);
          best_[i + distance] = less_of(a, b);
        }
      }
    }
  }

  __device__ __forceinline__ Key key(int lane) const {
    Key mine = kNoKey;
#pragma unroll
    for (int i = 0; i < K; ++i) mine = lane == i ? best_[i] : mine;
    return mine;
  }

 private:
  Key best_[K];  // descending
};

class Queue {
 public:
  // queue: kQueueKeys of the warp's own in shared memory.
  __device__ __forceinline__ Queue(int k, Key *queue) : k_(k), queue_(queue) {}

  __device__ __forceinline__ void offer(Key key) {
    const bool beats = key > worst_;
    const unsigned beating = __ballot_sync(kAllLanes, beats);
    if (beating == 0) return;
    const int lane = lane_of_thread();
    if (beats) queue_[queued_ + __popc(beating & lanes_below(lane))] = key;
    queued_ += __popc(beating);
    if (queued_ < kWarp) return;
    __syncwarp();
    const Key full = queue_[lane], rest = queue_[kWarp + lane];
    __syncwarp();
    queued_ -= kWarp;
    if (lane < queued_) queue_[lane] = rest;
    merge(full);
  }

  __device__ __forceinline__ void finish() {
    if (queued_ == 0) return;
    __syncwarp();
    const int lane = lane_of_thread();
    const Key rest = lane < queued_ ? queue_[lane] : kNoKey;
    queued_ = 0;
    __syncwarp();
    merge(rest);
  }

  __device__ __forceinline__ Key key(int) const { return held_; }

  // A key that is not greater than this is of no use.
  __device__ __forceinline__ Key worst() const { return worst_; }

 private:
  // The key that the lane keeps of an exchange with the lane at a distance.
  static __device__ __forceinline__ Key exchange(Key key, int distance, bool descending) {
    const Key other = __shfl_xor_sync(kAllLanes, key, distance);
    const bool first = (lane_of_thread() & distance) == 0;
    return first == descending ? greater_of(key, other) : less_of(key, other);
  }

  __device__ __forceinline__ void merge(Key key) {
    const int lane = lane_of_thread();
#pragma unroll 1  // few registers and little code matter more here than the loops
    for (int size = 2; size <= kWarp; size *= 2)
#pragma unroll 1
      for (int distance = size / 2; distance > 0; distance /= 2) key = exchange(key, distance, (lane & size) != 0);
    held_ = greater_of(held_, key);  // descending against ascending: bitonic, and the best 32 of both
#pragma unroll 1
    for (int distance = kWarp / 2; distance > 0; distance /= 2) held_ = exchange(held_, distance, true);
    worst_ = __shfl_sync(kAllLanes, held_, k_ - 1);
  }

  int k_, queued_ = 0;
  Key *queue_;
  Key held_ = kNoKey, worst_ = kNoKey;
};

// Of the selections of a block's warps, the best of all in warp 0's; by all threads of the block. keys: the queues.
template <typename Top>
__device__ __forceinline__ void combine_warps(Top *top, int k, Key (*keys)[kQueueKeys]) {
  const int warp = warp_of_thread(), lane = lane_of_thread();
  top->finish();
  keys[warp][lane] = top->key(lane);
  __syncthreads();
  if (warp != 0) return;
  Key from[kRowWarps];
#pragma unroll
  for (int w = 0; w < kRowWarps; ++w) from[w] = keys[w][lane];
  __syncwarp();  // the queue may be written again
  *top = Top(k, keys[0]);
#pragma unroll
  for (int w = 0; w < kRowWarps; ++w) top->offer(from[w]);
}

// The rows of the block's warps: either one each, or one of all together, each taking part `part` of `parts`.
struct RowShare {
  int64_t row;
  int part, parts;

  __device__ __forceinline__ explicit RowShare(int parts_of_row) : parts(parts_of_row) {
    const int64_t block = blockIdx.x;
    const int warp = warp_of_thread();
    row = parts == 1 ? block * kRowWarps + warp : block;
    part = parts == 1 ? 0 : warp;
  }

  // A row that is short or one of many is a warp's; a block shares a long one where there are too few to go round.
  static int parts_for(int64_t rows, int32_t num_vectors) {
    return rows >= 8192 || num_vectors <= 1024 ? 1 : kRowWarps;
  }
  static unsigned blocks_for(int64_t rows, int parts) {
    return static_cast<unsigned>(parts == 1 ? (rows + kRowWarps - 1) / kRowWarps : rows);
  }
};

// Calls launch with a null pointer to the form that serves k <= kWarpTopK best.
template <typename Launch>
void with_top(int k, const Launch &launch) {
  if (k == 1) {
    launch(static_cast<BestOf<1> *>(nullptr));
  } else if (k == 2) {
    launch(static_cast<BestOf<2> *>(nullptr));
  } else if (k <= 4) {
    launch(static_cast<BestOf<4> *>(nullptr));
  } else {
    launch(static_cast<Queue *>(nullptr));
  }
}

}  // namespace cuda
}  // namespace vbl
