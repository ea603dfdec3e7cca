// Forward pass of a low-rank branch in one kernel: p = x~ At, then y += scaling · p Bt. The members of a group have a kernel
// each, one after the other.
//
//   x [tokens, in], y [tokens, out] in T; a [r, in], bt [r, out]; p [tokens, r] float32
//   bytes  sizeof(T) · tokens · (in + 2 · out), and the factors once per block from the L2 cache
//   FMAs   r · tokens · (in + out); an element of x or y costs r of them and about as many other instructions
//
// A block takes all columns of 4 to 32 tokens, so that p is complete in the block that needs it, x and y are touched
// once and nothing is summed over blocks. 16 warps share out the windows; where there are fewer windows, tokens as
// well. Tokens per block aim at 128 blocks. For r > 4, slices of up to 4 ranks go to different warps, which then read
// the same x from the L1 cache; for r > 64 the pass over x is repeated. A dropout mask is drawn once per 16 windows
// into shared memory, a bit per column.
//
// Variants considered: two kernels with windows of x over blocks and partial sums of p (a launch more and 5 % more
// bytes; faster only for so few tokens that both take no longer than a launch); A in shared memory instead of registers
// (as many bytes from there as FMAs, at 4 tokens). Tensor cores would pay from r = 16 on.
#include "lowrank/tile.cuh"

namespace vbl {
namespace cuda {
namespace {

constexpr int kWarps = 16, kThreads = kWarps * kWarp;
constexpr int kMostTokens = 32;  // of a block
constexpr int kRound = 16;       // windows between two drawings of the mask

struct Forward {
  int64_t tokens, in, out, ldx, ldy;
  int32_t r, chunk;  // chunk: tokens of a block, a multiple of kGroup
  float scaling;
  const vbl_step *step;  // NULL without dropout
  Dropout dropout;
  const void *x;
  Factors a, bt;
  float *p;
  void *y;
  bool x_vectors, y_vectors;
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

template <typename T, int R>
__global__ void __launch_bounds__(kThreads, 1) lowrank_forward_tokens(Forward f) {
  __shared__ float sums[kWarps][kMostTokens * R];
  __shared__ unsigned char mask[kMostTokens][kRound * kWarp];
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const int64_t first = static_cast<int64_t>(blockIdx.x) * f.chunk, left = f.tokens - first;
  const int tokens = static_cast<int>(left < f.chunk ? left : f.chunk), groups = (tokens + kGroup - 1) / kGroup;
  const bool draws = f.step != nullptr;
  if (draws) set_key(f.dropout, *f.step);
  const T *x = static_cast<const T *>(f.x) + first * f.ldx;
  T *y = static_cast<T *>(f.y) + first * f.ldy;
  float *p = f.p + first * f.r;

  // In which order a token's dot products are summed depends on the windows alone, not on how tokens are shared out:
  // window w of a round goes to sums number w % team, whichever warp has it for a group of tokens.
  for (int32_t slab = 0; slab < f.r; slab += kWarps * R) {
    const int32_t all = (f.r - slab + R - 1) / R;
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
              kept_columns<T>(f.dropout, first + token, round + window * kWindow<T>, f.in, lane);
        }
        __syncthreads();
      }
      const int shared_out = team / windows, most = shared_out < groups ? shared_out : groups;
      const int parts = most < 1 ? 1 : most;
      for (int item = member < team ? member : windows * parts; item < windows * parts; item += team) {
        const int window = item % windows;
        const int64_t column = round + window * kWindow<T>;
        float a[R][kColumns<T>];
        load_ranks<T>(f.a, slab + slice * R, f.r, column, f.in, lane, a);
        project<T, R>(x, f.in, f.ldx, column, tokens, item / windows, parts, a,
                      draws ? &mask[0][window * kWarp + lane] : nullptr, f.dropout.kept, lane, f.x_vectors,
                      sums[window % team * slices + slice]);
      }
    }
    __syncthreads();
    for (int e = static_cast<int>(threadIdx.x); e < tokens * slices * R; e += kThreads) {
      const int t = e / (slices * R), rank = e % (slices * R);
      double sum = 0;
      for (int w = rank / R; w < team * slices; w += slices) sum += sums[w][t * R + rank % R];
      if (slab + rank < f.r) p[t * f.r + slab + rank] = static_cast<float>(sum);
    }
    __syncthreads();  // before p is read and the sums are used again
  }

  const int64_t items = (f.out + kWindow<T> - 1) / kWindow<T> * groups;
  for (int64_t item = warp; item < items; item += kWarps) {
    const int t = static_cast<int>(item % groups) * kGroup;
    expand_group(f.r, p + t * f.r, f.bt, f.scaling, nullptr, 0, 1, t, min(kGroup, tokens - t),
                 item / groups * kWindow<T>, f.out, f.ldy, lane, f.y_vectors, y);
  }
}

void launch(vbl_stream *stream, const LowrankBranch &b, const vbl_step *step, const void *x,
            const vbl_lowrank_matrices &of) {
  const int64_t wanted = ((b.tokens + 127) / 128 + kGroup - 1) / kGroup * kGroup;
  const int32_t chunk = static_cast<int32_t>(wanted < kMostTokens ? wanted : kMostTokens);
  const Forward f{b.tokens,
                  b.in,
                  b.out,
                  b.ldx,
                  b.ldy,
                  b.r,
                  chunk,
                  b.scaling,
                  b.drops ? step : nullptr,
                  b.dropout,
                  x,
                  factors_of(of.a, b.in, b.factor_dtype),
                  factors_of(of.bt, b.out, b.factor_dtype),
                  of.p,
                  of.y,
                  row_vectors(x, b.ldx, b.dtype),
                  row_vectors(of.y, b.ldy, b.dtype)};
  const unsigned blocks = static_cast<unsigned>((b.tokens + chunk - 1) / chunk);
  with_types(b.dtype, slice_ranks(b.r), [&](auto *type, auto ranks) {
    using T = std::remove_pointer_t<decltype(type)>;
    VBL_LAUNCH((lowrank_forward_tokens<T, decltype(ranks)::value>), blocks, kThreads, 0, handle(stream), f);
  });
}

}  // namespace

vbl_status lowrank_forward(vbl_stream *stream, const vbl_lowrank &l, const vbl_step *step, const void *x,
                           const vbl_lowrank_matrices *matrices) {
  VBL_CUDA_OP("vbl_lowrank_forward", stream);
  for (int32_t m = 0; m < l.members; ++m) launch(stream, lowrank_branch(l, m), step, x, matrices[m]);
  return launched("vbl_lowrank_forward");
}

}  // namespace cuda
}  // namespace vbl
