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

// One member of a group, with the group's shape and with leading dimensions that are never 0.
struct LowrankBranch {
  int64_t tokens, in, out, ldx, ldy;
  int32_t r, dtype, factor_dtype;
  float scaling;
  bool drops;
  Dropout dropout;  // still without the key of a step
};
LowrankBranch lowrank_branch(const vbl_lowrank &lowrank, int32_t member);

// Checks the arguments of op: the shape of an update; that of a group; and the step with it, which on CUDA cannot be looked
// into.
vbl_status check_update(const char *op, const vbl_lowrank_update *update);
vbl_status check_group(const char *op, const vbl_stream *stream, const vbl_lowrank *lowrank);
vbl_status check_group(const char *op, const vbl_stream *stream, const vbl_lowrank *lowrank, const vbl_step *step);

namespace cuda {

// How vbl_lowrank_backward cuts the passes over dy [tokens, out] and x [tokens, in] of a branch, and its scratch: sums over
// parts of the columns or tokens, to be added up in a fixed order.
struct LowrankPass {
  int64_t windows, chunks;
  int32_t chunk;  // tokens of a block, a multiple of 4
};
struct LowrankBackwardPlan {
  LowrankPass over_dy, over_x;
  float *q, *dbt, *da;  // [windows over dy, tokens, r], [chunks over dy, r, out], [chunks over x, r, in]
};
LowrankBackwardPlan plan_lowrank_backward(const LowrankBranch &branch, Scratch &scratch);

vbl_status lowrank_forward(vbl_stream *stream, const vbl_lowrank &lowrank, const vbl_step *step, const void *x,
                           const vbl_lowrank_matrices *matrices);
vbl_status lowrank_backward(vbl_stream *stream, const vbl_lowrank &lowrank, const vbl_step *step, const void *x,
                            const vbl_lowrank_matrices *matrices, void *dx, void *scratch);
vbl_status dropout_mask(vbl_stream *stream, const LowrankBranch &branch, const vbl_step *step, float *mask);
vbl_status lowrank_delta(vbl_stream *stream, const Update &update, float *delta);
vbl_status lowrank_merge(vbl_stream *stream, const Update &update, int32_t sign, void *weight, int32_t weight_dtype);

}  // namespace cuda
}  // namespace vbl
