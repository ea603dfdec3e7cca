// What the low-rank ops share on all devices, and their CUDA sides. These are defined where the library is built with
// CUDA and get checked arguments.
#pragma once
#include <cstdint>

#include "lowrank/dropout.h"
#include "lowrank/update.h"
#include "runtime/scratch.h"
#include "vblora/lowrank.h"

namespace vbl {

// Elements of matrices, or products, that are worth a task of their own.
constexpr int64_t kLowrankTask = 64 << 10;

// Checks the arguments of op: what of lowrank the weights' update depends on; all of it; and the step with it, which on
// CUDA cannot be looked into.
vbl_status check_factors(const char *op, const vbl_lowrank *lowrank);
vbl_status check_shape(const char *op, const vbl_stream *stream, const vbl_lowrank *lowrank);
vbl_status check_lowrank(const char *op, const vbl_stream *stream, const vbl_lowrank *lowrank, const vbl_step *step);

// A module's dropout, still without the key of a step.
Dropout module_dropout(const vbl_lowrank &lowrank);

namespace cuda {

// How vbl_lowrank_backward cuts the passes over dy [tokens, out] and x [tokens, in], and its scratch: sums over parts
// of the columns or tokens, to be added up in a fixed order.
struct LowrankPass {
  int64_t windows, chunks;
  int32_t chunk;  // tokens of a block, a multiple of 4
};
struct LowrankBackwardPlan {
  LowrankPass over_dy, over_x;
  float *q, *dbt, *da;  // [windows over dy, tokens, r], [chunks over dy, r, out], [chunks over x, r, in]
};
LowrankBackwardPlan plan_lowrank_backward(const vbl_lowrank &lowrank, Scratch &scratch);

vbl_status lowrank_forward(vbl_stream *stream, const vbl_lowrank &lowrank, const vbl_step *step, const void *x,
                           const void *a, const void *bt, float *p, void *y);
vbl_status lowrank_backward(vbl_stream *stream, const vbl_lowrank &lowrank, const vbl_step *step, const void *x,
                            const void *dy, const void *a, const void *bt, const float *p, float *q, void *dx,
                            float *da, float *dbt, void *scratch);
vbl_status dropout_mask(vbl_stream *stream, const vbl_lowrank &lowrank, const vbl_step *step, float *mask);
vbl_status lowrank_delta(vbl_stream *stream, const Update &update, float *delta);
vbl_status lowrank_merge(vbl_stream *stream, const Update &update, int32_t sign, void *weight, int32_t weight_dtype);

}  // namespace cuda
}  // namespace vbl
