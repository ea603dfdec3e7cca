// Forward pass of a group of low-rank branches in one kernel: of each member p = x~ At, then y += scaling · p Bt.
//
//   x [tokens, in], y [tokens, out] in T; a [r, in], bt [r, out]; p [tokens, r] float32
//   bytes  sizeof(T) · tokens · (in + 2 · out of all members), and the factors once per block from the L2 cache
//   FMAs   r · tokens · (in + out) per member; an element of x or y costs r of them and about as many other instructions
//
// A block takes all columns of 4 to 32 tokens, so that p is complete in the block that needs it, x and y are touched
// once and nothing is summed over blocks. 16 warps share out the windows; where there are fewer windows, tokens as
// well. Tokens per block aim at 128 blocks. For r > 4, slices of up to 4 ranks go to different warps, which then read
// the same x from the L1 cache; for r > 64 the pass over x is repeated. A dropout mask is drawn once per 16 windows
// into shared memory, a bit per column.
//
// p of one member after the other, then their y: the first member reads x from memory, the next ones find it in the L2
// cache, if that holds the rows that all blocks have, 32 MB where these are 4,096 features of 2 bytes. Members that take
// their ranks in slices of different sizes, as r = 2 and r = 4 do, have a kernel each.
//
// Variants considered: two kernels with windows of x over blocks and partial sums of p (a launch more and 5 % more
// bytes; faster only for so few tokens that both take no longer than a launch); A in shared memory instead of registers
// (as many bytes from there as FMAs, at 4 tokens); slices of all members side by side on the warps, which would read x
// from the L1 cache (how a member's sums are cut would depend on who else is in the group, and so would its bits; masks
// would take 16 KB per member). Tensor cores would pay from r = 16 on.
#include "lowrank/tile.cuh"

namespace vbl {
namespace cuda {
namespace {

constexpr int kWarps = 16, kThreads = kWarps * kWarp;
constexpr int kMostTokens = 32;  // of a block
constexpr int kRound = 16;       // windows between two drawings of the mask

struct ForwardMember {
  int64_t out, ldy;
  int32_t r;
  uint32_t module;
  float scaling;
  Factors a, bt;
  float *p;
  void *y;
  bool y_vectors;
};

struct Forward {
  int64_t tokens, in, ldx;
  int32_t chunk;  // tokens of a block, a multiple of kGroup
  int32_t members;
  const vbl_step *step;  // NULL without dropout
  Dropout dropout;
  const void *x;
  bool x_vectors;
  ForwardMember member[VBL_LOWRANK_MEMBERS];
};

// Adds the dot products of groups part, part + parts, .. of a block's tokens with R ranks, over one window, to sums
// [tokens, R].
template <typename T, int R>
__device__ __forceinline__ void project(const T *x, int64_t columns, int64_t ld, int64_t window, int tokens, int part,
                                        int parts, const float (&a)[R][kColumns<T>], const unsigned char *mask,
                                        float kept, int lane, bool vectors, float *sums) {
  const int here = window_columns<T>(columns, window);
  const auto load = [&](int t) {
    return t < tokens ? load_lane(x + t * ld + window, here, lane, vectors) : make_uint4(0, 0, 0, 0);
  };
  uint4 next[kGroup];
#pragma unroll
  for (int t = 0; t < kGroup; ++t) next[t] = load(part * kGroup + t);
  for (int first = part * kGroup; first < tokens; first += parts * kGroup) {
    float dots[Dots<R>::kPadded] = {};
#pragma unroll
    for (int t = 0; t < kGroup; ++t) {
      float v[kColumns<T>];
      unpack<T>(next[t], v);
      next[t] = load(first + parts * kGroup + t);
      if (mask != nullptr && first + t < tokens) apply_mask(mask[(first + t) * (kRound * kWarp)], kept, v);
#pragma unroll
      for (int k = 0; k < R; ++k)
#pragma unroll
        for (int j = 0; j < kColumns<T>; ++j) dots[t * R + k] = fmaf(v[j], a[k][j], dots[t * R + k]);
    }
    const float sum = warp_sums<Dots<R>::kPadded>(dots, lane);
    const int place = first * R + warp_sum_index<Dots<R>::kPadded>(lane);
    if (lane % (kWarp / Dots<R>::kPadded) == 0 && place < (first + kGroup) * R) sums[place] += sum;
  }
}

// p of a member for the tokens of a block, complete for all its threads when they return. They may have used `sums` and
// `mask` for the same of another member before.
template <typename T, int R>
__device__ __forceinline__ void project_member(const Forward &f, const ForwardMember &of, int64_t first, int tokens,
                                               float (*sums)[kMostTokens * R], unsigned char (*mask)[kRound * kWarp]) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const int groups = (tokens + kGroup - 1) / kGroup;
  const bool draws = f.step != nullptr;
  Dropout dropout = f.dropout;
  dropout.module = of.module;
  if (draws) set_key(dropout, *f.step);
  const T *x = static_cast<const T *>(f.x) + first * f.ldx;
  float *p = of.p + first * of.r;

  // In which order a token's dot products are summed depends on the windows alone, not on how tokens are shared out:
  // window w of a round goes to sums number w % team, whichever warp has it for a group of tokens.
  for (int32_t slab = 0; slab < of.r; slab += kWarps * R) {
    const int32_t all = (of.r - slab + R - 1) / R;
    const int slices = all < kWarps ? all : kWarps;
    const int team = kWarps / slices, slice = warp % slices, member = warp / slices;  // those beyond a team rest
    for (int e = lane; e < kMostTokens * R; e += kWarp) sums[warp][e] = 0;
    for (int64_t round = 0; round < f.in; round += kRound * kWindow<T>) {
      const int64_t in_row = (f.in - round + kWindow<T> - 1) / kWindow<T>;
      const int windows = static_cast<int>(in_row < kRound ? in_row : kRound);
      __syncthreads();  // sums are those of the last round, and its mask is used
      if (draws) {
        for (int item = warp; item < windows * tokens; item += kWarps) {
          const int window = item % windows, token = item / windows;
          mask[token][window * kWarp + lane] =
              kept_columns<T>(dropout, first + token, round + window * kWindow<T>, f.in, lane);
        }
        __syncthreads();
      }
      const int shared_out = team / windows, most = shared_out < groups ? shared_out : groups;
      const int parts = most < 1 ? 1 : most;
      for (int item = member < team ? member : windows * parts; item < windows * parts; item += team) {
        const int window = item % windows;
        const int64_t column = round + window * kWindow<T>;
        float a[R][kColumns<T>];
        load_ranks<T>(of.a, slab + slice * R, of.r, column, f.in, lane, a);
        project<T, R>(x, f.in, f.ldx, column, tokens, item / windows, parts, a,
                      draws ? &mask[0][window * kWarp + lane] : nullptr, dropout.kept, lane, f.x_vectors,
                      sums[window % team * slices + slice]);
      }
    }
    __syncthreads();
    for (int e = static_cast<int>(threadIdx.x); e < tokens * slices * R; e += kThreads) {
      const int t = e / (slices * R), rank = e % (slices * R);
      double sum = 0;
      for (int w = rank / R; w < team * slices; w += slices) sum += sums[w][t * R + rank % R];
      if (slab + rank < of.r) p[t * of.r + slab + rank] = static_cast<float>(sum);
    }
    __syncthreads();  // before p is read and the sums are used again
  }
}

// y of a member for the tokens of a block.
template <typename T>
__device__ __forceinline__ void expand_member(const ForwardMember &of, int64_t first, int tokens) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const int groups = (tokens + kGroup - 1) / kGroup;
  const float *p = of.p + first * of.r;
  T *y = static_cast<T *>(of.y) + first * of.ldy;
  const int64_t items = (of.out + kWindow<T> - 1) / kWindow<T> * groups;
  for (int64_t item = warp; item < items; item += kWarps) {
    const int t = static_cast<int>(item % groups) * kGroup;
    expand_group(of.r, p + t * of.r, of.bt, of.scaling, nullptr, 0, 1, t, min(kGroup, tokens - t),
                 item / groups * kWindow<T>, of.out, of.ldy, lane, of.y_vectors, y);
  }
}

template <typename T, int R>
__global__ void __launch_bounds__(kThreads, 1) lowrank_forward_tokens(Forward f) {
  __shared__ float sums[kWarps][kMostTokens * R];
  __shared__ unsigned char mask[kMostTokens][kRound * kWarp];
  const int64_t first = static_cast<int64_t>(blockIdx.x) * f.chunk, left = f.tokens - first;
  const int tokens = static_cast<int>(left < f.chunk ? left : f.chunk);
#pragma unroll 1
  for (int32_t m = 0; m < f.members; ++m) project_member<T, R>(f, f.member[m], first, tokens, sums, mask);
#pragma unroll 1
  for (int32_t m = 0; m < f.members; ++m) expand_member<T>(f.member[m], first, tokens);
}

}  // namespace

vbl_status lowrank_forward(vbl_stream *stream, const vbl_lowrank &l, const vbl_step *step, const void *x,
                           const vbl_lowrank_matrices *matrices) {
  VBL_CUDA_OP("vbl_lowrank_forward", stream);
  for_each_run(l, [&](int32_t begin, int32_t end) {
    const LowrankBranch group = lowrank_branch(l, begin);
    const int64_t wanted = ((l.tokens + 127) / 128 + kGroup - 1) / kGroup * kGroup;
    Forward f{};
    f.tokens = l.tokens;
    f.in = l.in_features;
    f.ldx = group.ldx;
    f.chunk = static_cast<int32_t>(wanted < kMostTokens ? wanted : kMostTokens);
    f.members = end - begin;
    f.step = group.drops ? step : nullptr;
    f.dropout = group.dropout;
    f.x = x;
    f.x_vectors = row_vectors(x, group.ldx, l.dtype);
    for (int32_t m = begin; m < end; ++m) {
      const LowrankBranch b = lowrank_branch(l, m);
      const vbl_lowrank_matrices &of = matrices[m];
      f.member[m - begin] = {b.out,
                             b.ldy,
                             b.r,
                             b.dropout.module,
                             b.scaling,
                             factors_of(of.a, b.in, b.factor_dtype),
                             factors_of(of.bt, b.out, b.factor_dtype),
                             of.reduced,
                             of.y,
                             row_vectors(of.y, b.ldy, b.dtype)};
    }
    const unsigned blocks = static_cast<unsigned>((f.tokens + f.chunk - 1) / f.chunk);
    with_types(l.dtype, slice_ranks(group.r), [&](auto *type, auto ranks) {
      using T = std::remove_pointer_t<decltype(type)>;
      VBL_LAUNCH((lowrank_forward_tokens<T, decltype(ranks)::value>), blocks, kThreads, 0, handle(stream), f);
    });
  });
  return launched("vbl_lowrank_forward");
}

}  // namespace cuda
}  // namespace vbl
