// vbl_adamw: n parameters with dense gradients: the bank, heads.
//
// Floor: 28 bytes per element (four read, three written); a bank of 2048 · 256 has 15 MB, 0.003 ms at 4.3 TB/s.
//
// A warp takes chunks of 128 elements, four of each lane, with 16-byte loads where all four arrays are aligned to 16
// bytes and the chunk is whole, else with 4-byte ones. About 45 instructions per element and lane (estimated: a root
// and two divisions, correctly rounded, are 30 of them): a third of the time of the reads and writes.
#include "optimizer/adamw.cuh"
#include "runtime/chunk.cuh"

namespace vbl {
namespace cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kBlockElements = kThreads / kWarp * kChunk;

template <bool kVector>
__device__ __forceinline__ void update_chunk(const AdamW &adamw, int64_t base, int64_t n, int lane, float *parameter,
                                             const float *gradient, float *exp_avg, float *exp_avg_sq) {
  float p[4], g[4], m[4], v[4];
  load_chunk<kVector>(gradient, base, n, lane, g);
  load_chunk<kVector>(parameter, base, n, lane, p);
  load_chunk<kVector>(exp_avg, base, n, lane, m);
  load_chunk<kVector>(exp_avg_sq, base, n, lane, v);
#pragma unroll
  for (int c = 0; c < 4; ++c) adamw.update(adamw.gradient(g[c]), &p[c], &m[c], &v[c]);
  store_chunk<kVector>(parameter, base, n, lane, p);
  store_chunk<kVector>(exp_avg, base, n, lane, m);
  store_chunk<kVector>(exp_avg_sq, base, n, lane, v);
}

__global__ void __launch_bounds__(kThreads)
    adamw_dense(int64_t n, bool vector, const vbl_step *step, const vbl_adamw_group *group, float *parameter,
                const float *gradient, float *exp_avg, float *exp_avg_sq) {
  const AdamW adamw(step, group);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp;
  const int64_t base = blockIdx.x * kBlockElements + thread / kWarp * kChunk;
  if (vector && base + kChunk <= n) {
    update_chunk<true>(adamw, base, n, lane, parameter, gradient, exp_avg, exp_avg_sq);
  } else {
    update_chunk<false>(adamw, base, n, lane, parameter, gradient, exp_avg, exp_avg_sq);
  }
}

}  // namespace

vbl_status adamw(vbl_stream *stream, int64_t n, const vbl_step *step, const vbl_adamw_group *group, float *parameter,
                 const float *gradient, float *exp_avg, float *exp_avg_sq) {
  VBL_CUDA_OP("vbl_adamw", stream);
  const bool vector =
      aligned(parameter, 16) && aligned(gradient, 16) && aligned(exp_avg, 16) && aligned(exp_avg_sq, 16);
  const int64_t blocks = (n + kBlockElements - 1) / kBlockElements;
  VBL_LAUNCH(adamw_dense, static_cast<unsigned>(blocks), kThreads, 0, handle(stream), n, vector, step, group, parameter,
             gradient, exp_avg, exp_avg_sq);
  return launched("vbl_adamw");
}

}  // namespace cuda
}  // namespace vbl
