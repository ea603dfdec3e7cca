// Backward pass of a group of low-rank branches in four kernels:
//
//   1. over the dy [tokens, out]: parts of q = scaling · dy B (over windows of out) and of dbt = scaling · pt dy (over
//      chunks of tokens)
//   2. q from its parts
//   3. over x and dx [tokens, in]: parts of da = qt x~, and dx += mask · (q A), of one member after the other
//   4. da and dbt += their parts
//
//   bytes  sizeof(T) · tokens · (out of all members + 3 · in); the parts add 8 bytes · r / 256 per element of dy, and
//          8 · r / 128 or less per column and token; all of them stay in the L2 cache up to some thousand tokens
//   FMAs   2 · r · tokens · (in + out) per member; an element of dy costs 2 · r of them and r to 2 · r other instructions
//
// Blocks of the passes 1 and 3 are a window of columns and 32 to 256 tokens, which 8 warps share out: a factor's window
// stays in registers, so do its gradient's sums, and dy or x is read once. For r > 4, slices of up to 4 ranks go to
// different warps, which then read the same rows from the L1 cache; for r > 32 the block reads its rows again. A
// dropout mask is drawn once into shared memory, a bit per column. In pass 3 the first member reads x and dx from memory,
// and the next ones find the same block of them, 16 to 128 KB each, in the L1 or L2 cache. Members that take their ranks
// in slices of different sizes, as r = 2 and r = 4 do, have launches of passes 1 and 3 each.
//
// Sums are float32 over the 8 or fewer columns of a lane, then over the warp, or over the tokens of a warp, at most
// 256; the rest is float64 in a fixed order.
//
// Variants considered: one block per chunk of tokens with all columns, as in the forward pass, leaves as many parts of
// da and dbt as there are blocks, more bytes than x and dy themselves below some thousand tokens; summing q's parts in
// pass 3 reads them once per window of x.
#include "lowrank/tile.cuh"

namespace vbl {
namespace cuda {
namespace {

constexpr int kWarps = 8, kThreads = kWarps * kWarp;
constexpr int kMostTokens = 256;  // of a block

// Of one member.
struct Pass {
  int64_t tokens, columns, ld;
  LowrankPass cut;
  int32_t r;
  const void *x;  // dy or x
  bool vectors;
  const float *left;  // p or q [tokens, r]
  Factors factors;    // bt or a
  float *gradient;    // parts of dbt or da
  float *q;           // over dy: its parts
  uint32_t module;    // over x
};

struct Passes {
  int32_t members;
  Pass member[VBL_LOWRANK_MEMBERS];
};

__host__ __device__ __forceinline__ int64_t blocks_of(const Pass &pass) { return pass.cut.windows * pass.cut.chunks; }

// The ranks that the warps of a block take at a time: slices of R, and in each slice a team of warps that share out
// tokens.
template <int R>
struct Slices {
  int count, team, member;  // a warp with member >= team rests
  int32_t first;            // rank

  __device__ __forceinline__ Slices(int32_t slab, int32_t r, int warp) {
    const int32_t all = (r - slab + R - 1) / R;
    count = all < kWarps ? all : kWarps;
    team = kWarps / count;
    member = warp / count;
    first = slab + warp % count * R;
  }
};

// acc[k] += left[rank k] · v.
template <int R, int N>
__device__ __forceinline__ void add_outer(const float *left, int ranks, const float (&v)[N], float (&acc)[R][N]) {
#pragma unroll
  for (int k = 0; k < R; ++k) {
    const float factor = k < ranks ? left[k] : 0;
#pragma unroll
    for (int j = 0; j < N; ++j) acc[k][j] = fmaf(factor, v[j], acc[k][j]);
  }
}

// gradient [r, columns], ranks of a slab and this window = the sums of all warps' acc, in the order of the warps.
template <typename T, int R>
__device__ __forceinline__ void store_gradient(const Slices<R> &slices, int32_t slab, int32_t r,
                                               const float (&acc)[R][kColumns<T>], int lane, int warp,
                                               float (*shared)[R][kWindow<T>], float *gradient, int64_t columns,
                                               int64_t window, int here) {
#pragma unroll
  for (int k = 0; k < R; ++k)
#pragma unroll
    for (int j = 0; j < kColumns<T>; ++j) shared[warp][k][j * kWarp + lane] = acc[k][j];  // no two lanes in one bank
  __syncthreads();
  for (int e = static_cast<int>(threadIdx.x); e < slices.count * R * here; e += kThreads) {
    const int rank = e / here, c = e % here;
    double sum = 0;
    for (int w = rank / R; w < slices.team * slices.count; w += slices.count)
      sum += shared[w][rank % R][c % kColumns<T> * kWarp + c / kColumns<T>];
    if (slab + rank < r) gradient[int64_t{slab + rank} * columns + window + c] = static_cast<float>(sum);
  }
  __syncthreads();
}

template <typename T, int R>
__global__ void __launch_bounds__(kThreads, 2) lowrank_pass_over_dy(Passes all) {
  __shared__ float sums[kWarps][R][kWindow<T>];
  int64_t block = blockIdx.x;
  int32_t m = 0;
  for (; block >= blocks_of(all.member[m]); ++m) block -= blocks_of(all.member[m]);
  const Pass &f = all.member[m];
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const int64_t nth = block % f.cut.windows, chunk = block / f.cut.windows;
  const int64_t window = nth * kWindow<T>, first = chunk * f.cut.chunk, left = f.tokens - first;
  const int tokens = static_cast<int>(left < f.cut.chunk ? left : f.cut.chunk);
  const int here = window_columns<T>(f.columns, window);
  const T *dy = static_cast<const T *>(f.x) + first * f.ld + window;
  const float *p = f.left + first * f.r;
  float *q = f.q + (nth * f.tokens + first) * f.r;
  const auto load = [&](int t) {
    return t < tokens ? load_lane(dy + t * f.ld, here, lane, f.vectors) : make_uint4(0, 0, 0, 0);
  };

  for (int32_t slab = 0; slab < f.r; slab += kWarps * R) {
    const Slices<R> slices(slab, f.r, warp);
    const int ranks = min(R, f.r - slices.first), step = slices.team * kGroup;
    float acc[R][kColumns<T>] = {};
    if (slices.member < slices.team) {
      float b[R][kColumns<T>];
      load_ranks<T>(f.factors, slices.first, f.r, window, f.columns, lane, b);
      uint4 next[kGroup];
#pragma unroll
      for (int t = 0; t < kGroup; ++t) next[t] = load(slices.member * kGroup + t);
      for (int group = slices.member * kGroup; group < tokens; group += step) {
        float dots[Dots<R>::kPadded] = {};
#pragma unroll
        for (int t = 0; t < kGroup; ++t) {
          float v[kColumns<T>];
          unpack<T>(next[t], v);
          next[t] = load(group + step + t);
#pragma unroll
          for (int k = 0; k < R; ++k)
#pragma unroll
            for (int j = 0; j < kColumns<T>; ++j) dots[t * R + k] = fmaf(v[j], b[k][j], dots[t * R + k]);
          add_outer<R>(p + (group + t) * f.r + slices.first, group + t < tokens ? ranks : 0, v, acc);
        }
        const float sum = warp_sums<Dots<R>::kPadded>(dots, lane);
        const int place = warp_sum_index<Dots<R>::kPadded>(lane), t = group + place / R, k = place % R;
        if (lane % (kWarp / Dots<R>::kPadded) == 0 && place < kGroup * R && t < tokens && k < ranks)
          q[t * f.r + slices.first + k] = sum;
      }
    }
    store_gradient<T, R>(slices, slab, f.r, acc, lane, warp, sums, f.gradient + chunk * f.r * f.columns, f.columns,
                         window, here);
  }
}

// The part of one member.
template <typename T, int R>
__device__ __forceinline__ void pass_over_x_of(const Pass &f, void *dx, bool dx_vectors, const vbl_step *step,
                                               Dropout dropout, float (*sums)[R][kWindow<T>],
                                               unsigned char (*mask)[kWarp]) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const int64_t nth = blockIdx.x % f.cut.windows, chunk = blockIdx.x / f.cut.windows;
  const int64_t window = nth * kWindow<T>, first = chunk * f.cut.chunk, left = f.tokens - first;
  const int tokens = static_cast<int>(left < f.cut.chunk ? left : f.cut.chunk);
  const int here = window_columns<T>(f.columns, window);
  const T *x = static_cast<const T *>(f.x) + first * f.ld + window;
  const float *q = f.left + first * f.r;
  const bool draws = step != nullptr;
  if (draws) {
    dropout.module = f.module;
    set_key(dropout, *step);
    __syncthreads();  // the mask of the member before is used
    for (int t = warp; t < tokens; t += kWarps)
      mask[t][lane] = kept_columns<T>(dropout, first + t, window, f.columns, lane);
  }
  __syncthreads();
  const auto load = [&](int t) {
    return t < tokens ? load_lane(x + t * f.ld, here, lane, f.vectors) : make_uint4(0, 0, 0, 0);
  };

  for (int32_t slab = 0; slab < f.r; slab += kWarps * R) {
    const Slices<R> slices(slab, f.r, warp);
    const int ranks = min(R, f.r - slices.first), stride = slices.team * kGroup;
    float acc[R][kColumns<T>] = {};
    if (slices.member < slices.team) {
      uint4 next[kGroup];
#pragma unroll
      for (int t = 0; t < kGroup; ++t) next[t] = load(slices.member * kGroup + t);
      for (int group = slices.member * kGroup; group < tokens; group += stride) {
#pragma unroll
        for (int t = 0; t < kGroup; ++t) {
          float v[kColumns<T>];
          unpack<T>(next[t], v);
          next[t] = load(group + stride + t);
          if (draws) apply_mask(mask[group + t][lane], dropout.kept, v);  // v is 0 beyond the last one
          add_outer<R>(q + (group + t) * f.r + slices.first, group + t < tokens ? ranks : 0, v, acc);
        }
      }
    }
    store_gradient<T, R>(slices, slab, f.r, acc, lane, warp, sums, f.gradient + chunk * f.r * f.columns, f.columns,
                         window, here);
  }
  if (dx == nullptr) return;
  for (int group = warp * kGroup; group < tokens; group += kWarps * kGroup)
    expand_group(f.r, q + group * f.r, f.factors, 1, draws ? &mask[group][lane] : nullptr, kWarp, dropout.kept,
                 first + group, min(kGroup, tokens - group), window, f.columns, f.ld, lane, dx_vectors,
                 static_cast<T *>(dx));
}

template <typename T, int R>
__global__ void __launch_bounds__(kThreads, 2)
    lowrank_pass_over_x(Passes all, void *dx, bool dx_vectors, const vbl_step *step, Dropout dropout) {
  __shared__ float sums[kWarps][R][kWindow<T>];
  __shared__ unsigned char mask[kMostTokens][kWarp];
#pragma unroll 1
  for (int32_t m = 0; m < all.members; ++m)
    pass_over_x_of<T, R>(all.member[m], dx, dx_vectors, step, dropout, sums, mask);
}

// to [n] = scale · the sum of `count` parts [count, n], or += that.
struct Parts {
  const float *parts;
  int64_t n, count;
  float scale;
  bool add;
  float *to;
};

struct Sums {
  int32_t count = 0;
  Parts parts[2 * VBL_LOWRANK_MEMBERS] = {};

  void add(const Parts &added) { parts[count++] = added; }
};

__global__ void __launch_bounds__(256) lowrank_sum_parts(Sums sums) {
  int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  int32_t of = 0;
  for (; of < sums.count && i >= sums.parts[of].n; ++of) i -= sums.parts[of].n;
  if (of == sums.count) return;
  const Parts &f = sums.parts[of];
  double sum = 0;
#pragma unroll 8
  for (int64_t part = 0; part < f.count; ++part) sum += f.parts[part * f.n + i];
  sum *= f.scale;
  f.to[i] = static_cast<float>(f.add ? f.to[i] + sum : sum);
}

void launch(vbl_stream *stream, const Sums &sums) {
  int64_t threads = 0;
  for (int32_t i = 0; i < sums.count; ++i) threads += sums.parts[i].n;
  VBL_LAUNCH(lowrank_sum_parts, static_cast<unsigned>((threads + 255) / 256), 256, 0, handle(stream), sums);
}

}  // namespace

vbl_status lowrank_backward(vbl_stream *stream, const vbl_lowrank &l, const vbl_step *step, const void *x,
                            const vbl_lowrank_matrices *matrices, void *dx, void *scratch) {
  VBL_CUDA_OP("vbl_lowrank_backward", stream);
  Scratch memory(scratch);
  Pass over_dy[VBL_LOWRANK_MEMBERS], over_x[VBL_LOWRANK_MEMBERS];
  Sums of_q, of_gradients;
  for (int32_t m = 0; m < l.members; ++m) {
    const LowrankBranch b = lowrank_branch(l, m);
    const vbl_lowrank_matrices &of = matrices[m];
    const LowrankBackwardPlan plan = plan_lowrank_backward(b, memory);
    over_dy[m] = {b.tokens,
                  b.out,
                  b.ldy,
                  plan.over_dy,
                  b.r,
                  of.dy,
                  row_vectors(of.dy, b.ldy, b.dtype),
                  of.reduced,
                  factors_of(of.bt, b.out, b.factor_dtype),
                  plan.dbt,
                  plan.q,
                  0};
    over_x[m] = {b.tokens,
                 b.in,
                 b.ldx,
                 plan.over_x,
                 b.r,
                 x,
                 row_vectors(x, b.ldx, b.dtype),
                 of.dreduced,
                 factors_of(of.a, b.in, b.factor_dtype),
                 plan.da,
                 nullptr,
                 b.dropout.module};
    of_q.add({plan.q, b.tokens * b.r, plan.over_dy.windows, b.scaling, false, of.dreduced});
    of_gradients.add({plan.da, b.r * b.in, plan.over_x.chunks, 1, true, of.da});
    of_gradients.add({plan.dbt, b.r * b.out, plan.over_dy.chunks, b.scaling, true, of.dbt});
  }
  // Calls launch(passes, their blocks together, types as with_types gives them) for runs of members.
  const auto for_each = [&](const Pass(&of)[VBL_LOWRANK_MEMBERS], const auto &launch) {
    for_each_run(l, [&](int32_t begin, int32_t end) {
      Passes passes{};
      int64_t blocks = 0;
      for (int32_t m = begin; m < end; ++m) {
        passes.member[passes.members++] = of[m];
        blocks += blocks_of(of[m]);
      }
      with_types(l.dtype, slice_ranks(of[begin].r),
                 [&](auto *type, auto ranks) { launch(passes, blocks, type, ranks); });
    });
  };
  for_each(over_dy, [&](const Passes &passes, int64_t blocks, auto *type, auto ranks) {
    using T = std::remove_pointer_t<decltype(type)>;
    VBL_LAUNCH((lowrank_pass_over_dy<T, decltype(ranks)::value>), static_cast<unsigned>(blocks), kThreads, 0,
               handle(stream), passes);
  });
  launch(stream, of_q);
  const LowrankBranch group = lowrank_branch(l, 0);
  for_each(over_x, [&](const Passes &passes, int64_t, auto *type, auto ranks) {
    using T = std::remove_pointer_t<decltype(type)>;
    VBL_LAUNCH((lowrank_pass_over_x<T, decltype(ranks)::value>), static_cast<unsigned>(blocks_of(passes.member[0])),
               kThreads, 0, handle(stream), passes, dx, row_vectors(dx, group.ldx, l.dtype),
               group.drops ? step : nullptr, group.dropout);
  });
  launch(stream, of_gradients);
  return launched("vbl_lowrank_backward");
}

}  // namespace cuda
}  // namespace vbl
