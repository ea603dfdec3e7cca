// The k best of n entries on CUDA for any k, by one block and without scratch memory: the path beside topk.cuh's, where
// generality counts and not speed.
//
// Radix selection finds the k-th best key: byte by byte from the top, a histogram in shared memory of the keys that agree
// with it so far. Logits that all differ need four passes over the entries at most; ties go on into the indices, three
// more. A last pass gathers the keys that are not behind it, and a bitonic sort puts them in order where they lie.
#pragma once
#include "admixture/select.cuh"

namespace vbl {
namespace cuda {

constexpr int kBlockThreads = 512;
constexpr int kBlockWarps = kBlockThreads / kWarp;
constexpr int kDigits = 256;

// What a block that selects keeps in shared memory.
struct BlockSelect {
  int histogram[kDigits];
  Key prefix;  // of the k-th best key, as far as it is known
  int wanted;  // keys still to be taken from those that agree with the prefix
  int gathered;
  double sum[kBlockWarps];
};

// A key such that k entries' keys, or all if there are fewer, are not less than it. keys(i), i < n: an entry's key, or
// kNoKey for one that is passed over. By all threads of the block, which meet at a barrier before they ask for keys, and
// end up behind one.
template <typename Keys>
__device__ Key kth_best(int n, int k, const Keys &keys, BlockSelect *shared) {
  const int thread = static_cast<int>(threadIdx.x), lane = lane_of_thread();
  if (thread == 0) {
    shared->prefix = kNoKey;
    shared->wanted = k;
  }
  // The highest byte of an index's complement is all ones.
  for (int shift = 56; shift >= 0; shift -= shift == 32 ? 16 : 8) {
    for (int digit = thread; digit < kDigits; digit += kBlockThreads) shared->histogram[digit] = 0;
    __syncthreads();
    const Key prefix = shared->prefix;
    const int wanted = shared->wanted;
    for (int i = thread; i < n; i += kBlockThreads) {
      const Key key = keys(i);
      if (key != kNoKey && (shift == 56 || (key ^ prefix) >> (shift + 8) == 0))
        atomicAdd(&shared->histogram[static_cast<int>(key >> shift) & (kDigits - 1)], 1);
    }
    __syncthreads();
    if (thread < kWarp) {
      // Lane l has the eight digits from 255 - 8 l down.
      const int top = kDigits - 1 - 8 * lane;
      int count = 0;
#pragma unroll
      for (int d = 0; d < 8; ++d) count += shared->histogram[top - d];
      int up_to = count;
      for (int lanes = 1; lanes < kWarp; lanes *= 2) {
        const int before = __shfl_up_sync(kAllLanes, up_to, lanes);
        if (lane >= lanes) up_to += before;
      }
      if (up_to >= wanted && up_to - count < wanted) {
        int left = wanted - (up_to - count), digit = top;
        for (; shared->histogram[digit] < left; --digit) left -= shared->histogram[digit];
        shared->prefix = prefix | static_cast<Key>(digit) << shift | (shift == 32 ? 0xFF000000u : 0u);
        shared->wanted = shared->histogram[digit] == left ? 0 : left;
      } else if (lane == kWarp - 1 && up_to < wanted) {
        shared->wanted = 0;  // there are fewer: all of them, and the prefix is kNoKey still
      }
    }
    __syncthreads();
    if (shared->wanted == 0) break;  // all that agree with the prefix are taken
  }
  return shared->prefix;
}

// put(place, key) for the entries whose keys are not less than the least; returns how many. By all threads of the block,
// which end up behind a barrier.
template <typename Keys, typename Put>
__device__ int gather(int n, Key least, const Keys &keys, const Put &put, BlockSelect *shared) {
  if (threadIdx.x == 0) shared->gathered = 0;
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kBlockThreads) {
    const Key key = keys(i);
    if (key != kNoKey && key >= least) put(atomicAdd(&shared->gathered, 1), key);
  }
  __syncthreads();
  return shared->gathered;
}

// Sorts n items so that their keys descend: items.key(i), items.swap(i, j). Bitonic, in the form in which every exchange
// brings the greater key to the lower place, so that places from n on, which are not there, may be thought to hold the
// least keys, and stay as they are. By all threads of the block, which end up behind a barrier.
template <typename Items>
__device__ void block_sort(int n, const Items &items) {
  const auto exchange = [&](int i, int partner) {
    if (partner > i && partner < n && items.key(partner) > items.key(i)) items.swap(i, partner);
  };
  for (int size = 2; size / 2 < n; size *= 2) {
    for (int i = static_cast<int>(threadIdx.x); i < n; i += kBlockThreads) exchange(i, i ^ (size - 1));
    __syncthreads();
    for (int distance = size / 4; distance > 0; distance /= 2) {
      for (int i = static_cast<int>(threadIdx.x); i < n; i += kBlockThreads) exchange(i, i ^ distance);
      __syncthreads();
    }
  }
}

// Entries as pairs of index and logit, in the order of selection.
struct Selected {
  int32_t *index;
  float *logit;
  __device__ Key key(int i) const { return key_of(logit[i], index[i]); }
  __device__ void put(int i, Key key) const {
    index[i] = index_of(key);
    logit[i] = logit_of(key);
  }
  __device__ void swap(int i, int j) const {
    const int32_t index_i = index[i];
    const float logit_i = logit[i];
    index[i] = index[j], logit[i] = logit[j];
    index[j] = index_i, logit[j] = logit_i;
  }
};

// Selects row's k best of n entries and writes its indices and weights; by all threads of the block.
template <typename Keys>
__device__ void block_select(int n, int k, const Keys &keys, int64_t row, int32_t *indices, float *weights,
                             int64_t *bad_row, BlockSelect *shared) {
  const Selected selected = {indices + row * k, weights + row * k};
  const Key least = kth_best(n, k, keys, shared);
  gather(n, least, keys, [&](int place, Key key) { selected.put(place, key); }, shared);
  block_sort(k, selected);

  const float largest = selected.logit[0];
  const bool good = is_finite(largest);
  double sum = 0;
  for (int j = static_cast<int>(threadIdx.x); good && j < k; j += kBlockThreads)
    sum += exp(static_cast<double>(selected.logit[j]) - static_cast<double>(largest));
  for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(kAllLanes, sum, lanes);
  if (lane_of_thread() == 0) shared->sum[warp_of_thread()] = sum;
  __syncthreads();
  sum = 0;
  for (int warp = 0; warp < kBlockWarps; ++warp) sum += shared->sum[warp];
  for (int j = static_cast<int>(threadIdx.x); j < k; j += kBlockThreads)
    selected.logit[j] =
        good ? static_cast<float>(exp(static_cast<double>(selected.logit[j]) - static_cast<double>(largest)) / sum)
             : bad_weight();
  if (!good && threadIdx.x == 0) note_bad_row(bad_row, row);
}

}  // namespace cuda
}  // namespace vbl
