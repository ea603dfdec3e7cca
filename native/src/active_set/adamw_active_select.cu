// vbl_adamw_active_select: AdamW on each row's list of active entries, the selected ones getting gradients and
// joining the list if they are not in it, and the k best of the row among the list and the best candidates.
//
// Floor: 28 bytes per active entry (index, logit and moments read, logit and moments written), and per row two counts,
// k indices and gradients read, k indices and weights written and k candidates looked at, each in a 32-byte sector;
// with 128 active entries in each of the 39,040 rows of Llama-2-7B's linear layers 144 MB, 0.034 ms at 4.3 TB/s.
//
// Two launches after a memset of two words. active_need, a thread per row, finds the need of the fullest row. Only
// rows that might not hold k more are looked into, by a warp each. The block that finishes last says what the outcome
// is, and where the need exceeds the capacity, no block of the second launch does anything.
// k <= 32: active_select_by_warps, a warp per row, eight rows per block. Lists are read 128 entries at a time, four
// 16-byte loads of a lane under way, and the first candidates' logits with them. Estimated, not measured: about 75
// instructions per entry and lane, 300 for 128 entries, and 250 for the rest of the row make 21 M warp instructions,
// which 132 SMs of four schedulers at 1.75 GHz issue in 0.023 ms. A row that is scanned for new candidates takes
// longer, some 1,500 instructions; the more candidates are kept, the rarer that is.
// k > 32: active_select_by_blocks, a block per row, with a map from indices to places in scratch memory.
#include "active_set/active_set.cuh"
#include "admixture/select.cuh"
#include "optimizer/adamw.cuh"

namespace vbl {
namespace cuda {
namespace {

constexpr int kThreads = kRowWarps * kWarp;
// At least so many blocks per SM: 80 registers, or 128 where 16-byte loads are not to be had.
constexpr int kBlocksPerSM = 3, kBlocksPerSMUnaligned = 2;

__device__ __forceinline__ unsigned or_of_warp(unsigned bits) {
  for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) bits |= __shfl_xor_sync(kAllLanes, bits, lanes);
  return bits;
}

// How many of the row's selected indices its list lacks; by a warp.
__device__ int lacking(const int32_t *list, int count, int h, int k, const int32_t *selected) {
  const int lane = lane_of_thread();
  int lacks = 0;
  for (int first = 0; first < k; first += kWarp) {
    const int mine = first + lane < k ? selected[first + lane] : -1;
    const unsigned valid = __ballot_sync(kAllLanes, mine >= 0 && mine < h);
    unsigned found = 0;
    for (int base = 0; base < count; base += kWarp) {
      const int index = base + lane < count ? list[base + lane] : -1;
      for (int j = 0; j < kWarp && first + j < k; ++j)
        found |= (index == __shfl_sync(kAllLanes, mine, j) ? 1u : 0u) << j;
    }
    lacks += __popc(valid & ~or_of_warp(found));
  }
  return lacks;
}

__global__ void __launch_bounds__(kThreads) active_need(int64_t rows, int h, int k, vbl_active active,
                                                        const int32_t *indices, int64_t *bad_row, int32_t *words) {
  __shared__ int needs[kRowWarps];
  const int64_t first = blockIdx.x * int64_t{kThreads} + warp_of_thread() * kWarp;
  const int lane = lane_of_thread();
  const int count = first + lane < rows ? active.count[first + lane] : 0;
  int need = count;
  for (unsigned tight = __ballot_sync(kAllLanes, count > active.capacity - k); tight != 0; tight &= tight - 1) {
    const int at = __ffs(static_cast<int>(tight)) - 1, of_row = __shfl_sync(kAllLanes, count, at);
    const int64_t row = first + at;
    const int lacks = lacking(active.index + row * active.capacity, of_row, h, k, indices + row * k);
    if (lane == at) need += lacks;
  }
  for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) need = max(need, __shfl_xor_sync(kAllLanes, need, lanes));
  if (lane == 0) needs[warp_of_thread()] = need;
  __syncthreads();
  if (threadIdx.x != 0) return;
#pragma unroll
  for (int warp = 0; warp < kRowWarps; ++warp) need = max(need, needs[warp]);
  atomicMax(&words[0], need);
  __threadfence();
  if (atomicAdd(&words[1], 1) != static_cast<int>(gridDim.x) - 1) return;
  need = atomicMax(&words[0], 0);
  *active.max_count = need > active.capacity ? need : 0;
  if (need <= active.capacity) *bad_row = -1;
}

// Takes the selected indices whose bits are set out of the row's candidates, of which it returns the number left; by a
// warp.
__device__ __forceinline__ int remove_candidates(int32_t *candidate, int count, int selected, unsigned activated) {
  const int lane = lane_of_thread();
  int left = 0;
  for (int base = 0; base < count; base += kWarp) {
    const int index = base + lane < count ? candidate[base + lane] : -1;
    bool stays = base + lane < count;
    for (unsigned bits = activated; bits != 0; bits &= bits - 1)
      stays = index != __shfl_sync(kAllLanes, selected, __ffs(static_cast<int>(bits)) - 1) && stays;
    const unsigned all = __ballot_sync(kAllLanes, stays);
    __syncwarp();
    if (stays) candidate[left + __popc(all & lanes_below(lane))] = index;
    left += __popc(all);
  }
  return left;
}

template <typename Top, bool kVector>
__global__ void __launch_bounds__(kThreads, kVector ? kBlocksPerSM : kBlocksPerSMUnaligned)
    active_select_by_warps(int64_t rows, int h, int k, vbl_active active, const vbl_step *step,
                           const vbl_adamw_group *group, const float *logits, const float *dlogits, int32_t *indices,
                           float *weights, int64_t *bad_row, const int32_t *words) {
  __shared__ Key keys[kRowWarps][kQueueKeys];
  __shared__ int counts[kRowWarps];
  const RowShare share(1);
  const int lane = lane_of_thread();
  const int64_t row = share.row;
  int count = 0;
  if (words[0] <= active.capacity && row < rows) {
    count = active.count[row];
    const int64_t list = row * active.capacity;
    const float *x = logits + row * h;
    int32_t *candidates = active.candidate_index + row * active.candidates;
    int left = active.candidate_count[row];
    int candidate = lane < left && lane < k ? candidates[lane] : -1;
    const int selected = lane < k ? indices[row * k + lane] : -1;
    const AdamW adamw(step, group);
    const float gradient = lane < k ? adamw.gradient(dlogits[row * k + lane]) : 0;
    float of_candidate = candidate >= 0 ? x[candidate] : 0;
    Top top(k, keys[warp_of_thread()]);

    unsigned found = 0;  // bit j: this lane has the j-th selected one
    for (int base = 0; base < count; base += kChunk) {
      int32_t index[4];
      float p[4], m[4], v[4], g[4] = {0, 0, 0, 0};
      load_chunk<kVector>(active.index + list, base, count, lane, index);
      load_chunk<kVector>(active.logit + list, base, count, lane, p);
      load_chunk<kVector>(active.exp_avg + list, base, count, lane, m);
      load_chunk<kVector>(active.exp_avg_sq + list, base, count, lane, v);
#pragma unroll
      for (int c = 0; c < 4; ++c) index[c] = chunk_at<kVector>(base, lane, c) < count ? index[c] : -1;
      for (int j = 0; j < k; ++j) {
        const int wanted = __shfl_sync(kAllLanes, selected, j);
        const float of_wanted = __shfl_sync(kAllLanes, gradient, j);
#pragma unroll
        for (int c = 0; c < 4; ++c) {
          if (index[c] != wanted || wanted < 0) continue;
          g[c] = of_wanted;
          found |= 1u << j;
        }
      }
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        adamw.update(g[c], &p[c], &m[c], &v[c]);
        top.offer(index[c] >= 0 ? key_of(p[c], index[c]) : kNoKey);
      }
      store_chunk<kVector>(active.logit + list, base, count, lane, p);
      store_chunk<kVector>(active.exp_avg + list, base, count, lane, m);
      store_chunk<kVector>(active.exp_avg_sq + list, base, count, lane, v);
    }

    const unsigned joining = __ballot_sync(kAllLanes, selected >= 0 && selected < h) & ~or_of_warp(found);
    const bool joins = (joining >> lane & 1) != 0;
    if (joining != 0) {
      __syncwarp();  // the last 16 bytes stored may go beyond the list's end
      const int at = count + __popc(joining & lanes_below(lane));
      Key key = kNoKey;
      if (joins && at < active.capacity) {
        float p = x[selected], m = 0, v = 0;
        adamw.update(gradient, &p, &m, &v);
        active.index[list + at] = selected;
        active.logit[list + at] = p;
        active.exp_avg[list + at] = m;
        active.exp_avg_sq[list + at] = v;
        key = key_of(p, selected);
      }
      top.offer(key);
      count = min(count + __popc(joining), active.capacity);
      left = remove_candidates(candidates, left, selected, joining);
      if (lane == 0) {
        active.count[row] = count;
        active.candidate_count[row] = left;
      }
      __syncwarp();
    }
    const bool scan = left < k && count + left < h;
    if (scan) {
      // The queue is Top's as well: what it holds is put aside.
      top.finish();
      const Key held = top.key(lane);
      left = find_candidates_by_warp<false>(active, row, count, h, x, keys[warp_of_thread()]);
      top = Top(k, keys[warp_of_thread()]);
      top.offer(held);
    }
    if (joining != 0 || scan) {
      candidate = lane < left && lane < k ? candidates[lane] : -1;
      of_candidate = candidate >= 0 ? x[candidate] : 0;
    }
    top.offer(candidate >= 0 ? key_of(of_candidate, candidate) : kNoKey);
    top.finish();
    store_selection(top.key(lane), row, k, indices, weights, bad_row);
  }
  if (lane == 0) counts[warp_of_thread()] = count;
  __syncthreads();
  if (threadIdx.x != 0) return;
#pragma unroll
  for (int warp = 0; warp < kRowWarps; ++warp) count = max(count, counts[warp]);
  if (words[0] <= active.capacity) atomicMax(active.max_count, count);
}

struct BlockRanks {
  int of_warp[kBlockWarps];
};

// How many threads before this one have a flag, and *all how many in the block; by all threads of the block.
__device__ int block_rank(bool flag, BlockRanks *shared, int *all) {
  const unsigned bits = __ballot_sync(kAllLanes, flag);
  __syncthreads();
  if (lane_of_thread() == 0) shared->of_warp[warp_of_thread()] = __popc(bits);
  __syncthreads();
  int before = __popc(bits & lanes_below(lane_of_thread()));
  *all = 0;
  for (int warp = 0; warp < kBlockWarps; ++warp) {
    if (warp < warp_of_thread()) before += shared->of_warp[warp];
    *all += shared->of_warp[warp];
  }
  return before;
}

__global__ void __launch_bounds__(kBlockThreads, 1)
    active_select_by_blocks(int64_t rows, int h, int k, vbl_active active, const vbl_step *step,
                            const vbl_adamw_group *group, const float *logits, const float *dlogits, int32_t *indices,
                            float *weights, int64_t *bad_row, const int32_t *words, int32_t *places) {
  __shared__ BlockSelect shared;
  __shared__ BlockRanks ranks;
  const AdamW adamw(step, group);
  const int thread = static_cast<int>(threadIdx.x);
  int32_t *place = places + blockIdx.x * int64_t{h};
  const bool fits = words[0] <= active.capacity;
  int highest = 0;
  for (int64_t row = blockIdx.x; fits && row < rows; row += gridDim.x) {
    const int64_t list = row * active.capacity;
    const float *x = logits + row * h, *gradient = dlogits + row * k;
    const int32_t *selected = indices + row * k;
    int32_t *candidates = active.candidate_index + row * active.candidates;
    float *in_list = weights + row * k;  // whether the j-th selected one is
    int count = active.count[row], all;
    for (int j = thread; j < k; j += kBlockThreads) {
      if (selected[j] >= 0 && selected[j] < h) place[selected[j]] = j;
      in_list[j] = 0;
    }
    __syncthreads();
    for (int i = thread; i < count; i += kBlockThreads) {
      const int32_t index = active.index[list + i];
      const bool chosen = placed(place, index, k, selected);
      if (chosen) in_list[place[index]] = 1;
      adamw.update(chosen ? adamw.gradient(gradient[place[index]]) : 0, &active.logit[list + i],
                   &active.exp_avg[list + i], &active.exp_avg_sq[list + i]);
    }
    __syncthreads();
    for (int base = 0; base < k; base += kBlockThreads) {
      const int j = base + thread;
      const bool joins = j < k && selected[j] >= 0 && selected[j] < h && in_list[j] == 0;
      const int at = count + block_rank(joins, &ranks, &all);
      if (joins && at < active.capacity) {
        float p = x[selected[j]], m = 0, v = 0;
        adamw.update(adamw.gradient(gradient[j]), &p, &m, &v);
        active.index[list + at] = selected[j];
        active.logit[list + at] = p;
        active.exp_avg[list + at] = m;
        active.exp_avg_sq[list + at] = v;
      }
      count = min(count + all, active.capacity);
    }
    // Selected candidates are active now.
    const int before = active.candidate_count[row];
    int left = 0;
    for (int base = 0; base < before; base += kBlockThreads) {
      const int32_t index = base + thread < before ? candidates[base + thread] : -1;
      const bool stays = index >= 0 && !placed(place, index, k, selected);
      const int at = left + block_rank(stays, &ranks, &all);
      if (stays) candidates[at] = index;
      left += all;
    }
    __syncthreads();
    if (thread == 0) {
      active.count[row] = count;
      active.candidate_count[row] = left;
    }
    if (left < k && count + left < h) left = find_candidates_by_block(active, row, count, h, x, place, &shared);
    const auto keys = [&](int i) {
      return i < count ? key_of(active.logit[list + i], active.index[list + i])
                       : key_of(x[candidates[i - count]], candidates[i - count]);
    };
    block_select(count + min(left, k), k, keys, row, indices, weights, bad_row, &shared);
    highest = max(highest, count);
  }
  if (thread == 0 && fits) atomicMax(active.max_count, highest);
}

template <typename Top>
void select_rows(cudaStream_t stream, const vbl_admixture &a, const vbl_active &active, const vbl_step *step,
                 const vbl_adamw_group *group, const float *logits, const float *dlogits, int32_t *indices,
                 float *weights, int64_t *bad_row, const int32_t *words) {
  const unsigned blocks = RowShare::blocks_for(a.rows, 1);
  if (active.capacity % 4 == 0 && aligned(active.index, 16) && aligned(active.logit, 16) &&
      aligned(active.exp_avg, 16) && aligned(active.exp_avg_sq, 16)) {
    VBL_LAUNCH((active_select_by_warps<Top, true>), blocks, kThreads, 0, stream, a.rows, a.num_vectors, a.topk, active,
               step, group, logits, dlogits, indices, weights, bad_row, words);
  } else {
    VBL_LAUNCH((active_select_by_warps<Top, false>), blocks, kThreads, 0, stream, a.rows, a.num_vectors, a.topk, active,
               step, group, logits, dlogits, indices, weights, bad_row, words);
  }
}

}  // namespace

vbl_status adamw_active_select(vbl_stream *stream, const vbl_admixture &a, const vbl_active &active,
                               const vbl_step *step, const vbl_adamw_group *group, const float *logits,
                               const float *dlogits, int32_t *indices, float *weights, int64_t *bad_row,
                               const ActiveScratch &scratch) {
  VBL_CUDA_OP("vbl_adamw_active_select", stream);
  const cudaStream_t on = handle(stream);
  int32_t *words = scratch.words;
  VBL_TRY(status_of("vbl_adamw_active_select", cudaMemsetAsync(words, 0, 2 * sizeof *words, on)));
  VBL_LAUNCH(active_need, static_cast<unsigned>((a.rows + kThreads - 1) / kThreads), kThreads, 0, on, a.rows,
             a.num_vectors, a.topk, active, indices, bad_row, words);
  if (a.topk <= kWarpTopK) {
    with_top(a.topk, [&](auto *top) {
      using Top = std::remove_pointer_t<decltype(top)>;
      select_rows<Top>(on, a, active, step, group, logits, dlogits, indices, weights, bad_row, words);
    });
  } else {
    VBL_LAUNCH(active_select_by_blocks, static_cast<unsigned>(scratch.place_rows), kBlockThreads, 0, on, a.rows,
               a.num_vectors, a.topk, active, step, group, logits, dlogits, indices, weights, bad_row, words,
               scratch.place);
  }
  return launched("vbl_adamw_active_select");
}

}  // namespace cuda
}  // namespace vbl
