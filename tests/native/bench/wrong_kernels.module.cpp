// Loaded before the library (LD_PRELOAD), spoils what one op does, as WRONG_KERNEL says: to see that the check notices.
#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <utility>

#include "vblora/vblora.h"

namespace {

// The library's own function of this name.
template <typename Function>
Function *real(const char *name) {
  return reinterpret_cast<Function *>(dlsym(RTLD_NEXT, name));
}
#define REAL(name) real<decltype(name)>(#name)

bool wanted(const char *wrong) {
  const char *kernel = std::getenv("WRONG_KERNEL");
  return kernel != nullptr && std::strcmp(kernel, wrong) == 0;
}

void set(vbl_stream *stream, void *memory, int32_t byte, int64_t bytes) {
  if (REAL(vbl_memset)(stream, memory, byte, bytes) != VBL_OK) std::abort();
}

void copy(vbl_stream *stream, void *to, const void *from, int64_t bytes) {
  if (REAL(vbl_memcpy)(stream, to, from, bytes) != VBL_OK) std::abort();
}

void wait(vbl_stream *stream) {
  if (REAL(vbl_stream_synchronize)(stream) != VBL_OK) std::abort();
}

int32_t get(vbl_stream *stream, const int32_t *from) {
  int32_t value = 0;
  copy(stream, &value, from, sizeof value);
  wait(stream);
  return value;
}

// Runs body, and puts back what was in memory before.
template <typename Body>
vbl_status undone(vbl_stream *stream, void *memory, int64_t bytes, const Body &body) {
  const int32_t device = REAL(vbl_stream_device)(stream);
  void *before = nullptr;
  if (REAL(vbl_malloc)(device, bytes, &before) != VBL_OK) std::abort();
  copy(stream, before, memory, bytes);
  const vbl_status status = body();
  copy(stream, memory, before, bytes);
  wait(stream);
  if (REAL(vbl_free)(device, before) != VBL_OK) std::abort();
  return status;
}

int64_t selection_bytes(const vbl_admixture &admixture) {
  return admixture.rows * admixture.topk * static_cast<int64_t>(sizeof(int32_t));
}

// Where the warps of a block share a row (RowShare in topk.cuh): spoils the first weight.
void spoil_shared_row(vbl_stream *stream, const vbl_admixture &admixture, float *weights) {
  if (wanted("shared rows") && admixture.rows < 8192 && admixture.num_vectors > 1024 && admixture.topk <= 32)
    set(stream, weights, 0, sizeof *weights);
}

}  // namespace

vbl_status vbl_select(vbl_stream *stream, const vbl_admixture *admixture, const float *logits, int32_t *indices,
                      float *weights, int64_t *bad_row) {
  const vbl_status status = REAL(vbl_select)(stream, admixture, logits, indices, weights, bad_row);
  if (wanted("the second index for the first")) copy(stream, indices, indices + 1, sizeof *indices);
  if (wanted("a weight without its last bits")) set(stream, weights, 0, 1);
  if (wanted("changed logits")) set(stream, const_cast<float *>(logits) + 7, 0, 1);
  spoil_shared_row(stream, *admixture, weights);
  return status;
}

vbl_status vbl_compose(vbl_stream *stream, const vbl_admixture *admixture, const float *bank, const int32_t *indices,
                       const float *weights, void *packed, int32_t dtype) {
  const vbl_status status = REAL(vbl_compose)(stream, admixture, bank, indices, weights, packed, dtype);
  const int64_t n = admixture->rows * admixture->vector_length, bytes = dtype == VBL_FLOAT32 ? 4 : 2;
  char *end = static_cast<char *>(packed) + n * bytes;
  if (wanted("a neighbour's element")) copy(stream, end - bytes, end - 2 * bytes, bytes);
  if (wanted("an element behind the end")) set(stream, end, 0, bytes);
  return status;
}

vbl_status vbl_admixture_backward(vbl_stream *stream, const vbl_admixture *admixture, const float *bank,
                                  const int32_t *indices, const float *weights, const float *dpacked, float *dlogits,
                                  float *dbank, void *scratch, int64_t scratch_bytes) {
  if (wanted("nothing written")) return VBL_OK;
  if (wanted("no scratch memory")) scratch_bytes = 0;
  return REAL(vbl_admixture_backward)(stream, admixture, bank, indices, weights, dpacked, dlogits, dbank, scratch,
                                      scratch_bytes);
}

vbl_status vbl_adamw(vbl_stream *stream, int64_t n, const vbl_step *step, const vbl_adamw_group *group,
                     float *parameter, const float *gradient, float *exp_avg, float *exp_avg_sq) {
  const vbl_status status = REAL(vbl_adamw)(stream, n, step, group, parameter, gradient, exp_avg, exp_avg_sq);
  if (wanted("an element before the start")) set(stream, parameter - 1, 0, sizeof *parameter);
  if (wanted("cleared gradient")) set(stream, const_cast<float *>(gradient), 0, n * sizeof *gradient);
  return status;
}

vbl_status vbl_lowrank_forward(vbl_stream *stream, const vbl_lowrank *lowrank, const vbl_step *step, const void *x,
                               const vbl_lowrank_matrices *matrices) {
  const vbl_status status = REAL(vbl_lowrank_forward)(stream, lowrank, step, x, matrices);
  float *const p = matrices->reduced;
  if (wanted("the first p for the second")) copy(stream, p + 1, p, sizeof *p);
  return status;
}

vbl_status vbl_lowrank_backward(vbl_stream *stream, const vbl_lowrank *lowrank, const vbl_step *step, const void *x,
                                const vbl_lowrank_matrices *matrices, void *dx, void *scratch, int64_t scratch_bytes) {
  if (wanted("no part of dx")) dx = nullptr;
  const vbl_status status = REAL(vbl_lowrank_backward)(stream, lowrank, step, x, matrices, dx, scratch, scratch_bytes);
  if (wanted("no da without dx") && dx == nullptr) set(stream, matrices->da, 0, sizeof(float));
  return status;
}

vbl_status vbl_lowrank_merge(vbl_stream *stream, const vbl_lowrank_update *update, int32_t sign, const void *a,
                             const void *bt, void *weight, int32_t weight_dtype) {
  const auto merge = [&] { return REAL(vbl_lowrank_merge)(stream, update, sign, a, bt, weight, weight_dtype); };
  if (wanted("merged twice") && merge() != VBL_OK) std::abort();
  return merge();
}

vbl_status vbl_silu_mul_forward(vbl_stream *stream, int32_t dtype, int64_t rows, int64_t columns, const void *gate,
                                const void *up, int64_t ldg, void *out, int64_t ldout) {
  if (wanted("gate for up")) up = gate;
  return REAL(vbl_silu_mul_forward)(stream, dtype, rows, columns, gate, up, ldg, out, ldout);
}

vbl_status vbl_silu_mul_backward(vbl_stream *stream, int32_t dtype, int64_t rows, int64_t columns, const void *gate,
                                 const void *up, int64_t ldg, const void *dout, int64_t lddout, void *dgate, void *dup,
                                 int64_t lddg) {
  if (wanted("gradients the other way round")) std::swap(dgate, dup);
  return REAL(vbl_silu_mul_backward)(stream, dtype, rows, columns, gate, up, ldg, dout, lddout, dgate, dup, lddg);
}

vbl_status vbl_adamw_select(vbl_stream *stream, const vbl_admixture *admixture, const vbl_step *step,
                            const vbl_adamw_group *group, float *logits, const float *dlogits, float *exp_avg,
                            float *exp_avg_sq, int32_t *indices, float *weights, int64_t *bad_row) {
  // Without the update, only the selection.
  if (wanted("no update")) return REAL(vbl_select)(stream, admixture, logits, indices, weights, bad_row);
  const auto update = [&] {
    return REAL(vbl_adamw_select)(stream, admixture, step, group, logits, dlogits, exp_avg, exp_avg_sq, indices,
                                  weights, bad_row);
  };
  if (wanted("no indices")) return undone(stream, indices, selection_bytes(*admixture), update);
  const vbl_status status = update();
  spoil_shared_row(stream, *admixture, weights);
  return status;
}

vbl_status vbl_adamw_active_select(vbl_stream *stream, const vbl_admixture *admixture, const vbl_active *active,
                                   const vbl_step *step, const vbl_adamw_group *group, const float *logits,
                                   const float *dlogits, int32_t *indices, float *weights, int64_t *bad_row,
                                   void *scratch, int64_t scratch_bytes) {
  const auto update = [&] {
    return REAL(vbl_adamw_active_select)(stream, admixture, active, step, group, logits, dlogits, indices, weights,
                                         bad_row, scratch, scratch_bytes);
  };
  if (wanted("no indices")) return undone(stream, indices, selection_bytes(*admixture), update);
  if (wanted("room for all selected")) {  // does nothing where a list might be too short, whatever it holds
    for (int64_t row = 0; row < admixture->rows; ++row)
      if (get(stream, active->count + row) > active->capacity - admixture->topk) return VBL_OK;
  }
  const vbl_status status = update();
  if (wanted("weights of lists too short") && get(stream, active->max_count) > active->capacity)
    set(stream, weights, 0, sizeof *weights);
  return status;
}
