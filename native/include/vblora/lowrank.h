/* The low-rank branches of adapted linear layers: y = x Wt + bias + scaling · (drop(x) At) Bt, forward and backward, for one
 * layer or a group of layers that read the same x (query, key and value; gate and up).
 *
 * x [tokens, in], y [tokens, out], A [r, in], B as its transpose bt [r, out]; x~ = drop(x). Dropout is inverted dropout
 * with a Philox4x32-10 mask (Salmon et al., SC 2011) keyed by (seed, step, micro-batch, module, element), never by a
 * running counter: element e = (first_token + token) · in + column of module m draws
 *   word e mod 4 of Philox(counter = {lo32(e / 4), hi16 of (e / 4) | micro_batch << 16, m, lo32(step)}, key = seed)
 * and is kept if that word >= round(dropout · 2^32); kept elements are multiplied by 1 / (1 - dropout).
 */
#ifndef VBLORA_LOWRANK_H
#define VBLORA_LOWRANK_H

#include "vblora/common.h"
#include "vblora/runtime.h"
#include "vblora/step.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The most members that a group can have. */
#define VBL_LOWRANK_MEMBERS 4

/** The shape of one member of a group: a module with a y of its own. */
typedef struct vbl_lowrank_member {
  int64_t out_features;
  int64_t ldy;     /**< elements from a row of y, or dy, to the next; 0 stands for out_features */
  int32_t r;       /**< 1 .. 65536; CUDA reads x and dy again for every further 32 to 64 ranks */
  uint32_t module; /**< key of the module's dropout */
  float scaling;   /**< 1 for VB-LoRA, lora_alpha / r for LoRA */
} vbl_lowrank_member;

/** The shape of a group. */
typedef struct vbl_lowrank {
  int64_t tokens, in_features;
  int64_t ldx;          /**< elements from a row of x, or dx, to the next; 0 stands for in_features */
  int64_t first_token;  /**< place of the first token in its batch, where a batch is passed in pieces; for dropout */
  float dropout;        /**< probability in [0, 1); 0 draws nothing and leaves step unread */
  int32_t dtype;        /**< vbl_dtype of x, y, dy and dx; 0 is float32 */
  int32_t factor_dtype; /**< vbl_dtype of A and B; 0 is float32 */
  int32_t members;      /**< 1 .. VBL_LOWRANK_MEMBERS */
  vbl_lowrank_member member[VBL_LOWRANK_MEMBERS];
} vbl_lowrank;

/** One member's matrices. An op ignores the fields that it does not name; they may be NULL. */
typedef struct vbl_lowrank_matrices {
  const void *a, *bt;
  float *reduced;  /**< [tokens, r] */
  void *y;         /**< forward */
  const void *dy;  /**< backward, and those that follow */
  float *dreduced; /**< [tokens, r] */
  float *da, *dbt;
} vbl_lowrank_matrices;

/* matrices: an array in host memory with an element for each member. No member may write what another one reads or writes,
 * but for dx, which they share.
 *
 * reduced, dreduced, da, dbt and the mask are float32, and sums are made in float32 or more. On the CPU dtype and
 * factor_dtype must be float32 (VBL_UNSUPPORTED) for the forward and backward pass and the mask. A CUDA stream can't look
 * into the step: of its micro_batch, 0 .. 65535, the low 16 bits count there. How sums are cut depends on a member's shape
 * and tokens alone: the same bits whatever the CUDA device, the alignment, the leading dimensions or the load, and for a
 * member of a group the bits that it has as a group of its own. */

/** For each member reduced [tokens, r] = x~ At, with the member's own mask, and y += scaling · reduced Bt. x comes from
 *  memory once for all members: on CUDA they share a kernel and find x in the L2 cache, as far as it fits there; members of
 *  other r may have kernels of their own. */
VBL_API vbl_status vbl_lowrank_forward(vbl_stream *stream, const vbl_lowrank *lowrank, const vbl_step *step,
                                       const void *x, const vbl_lowrank_matrices *matrices);

/** Scratch of vbl_lowrank_backward; -1, and vbl_last_error(), for an invalid argument, -VBL_UNSUPPORTED for types that
 *  it does not support there. */
VBL_API int64_t vbl_lowrank_scratch_bytes(const vbl_stream *stream, const vbl_lowrank *lowrank);

/** For each member dreduced [tokens, r] = scaling · dy B, da += dreducedᵀ x~, dbt += scaling · reducedᵀ dy, and, unless dx is
 *  NULL, dx [tokens, in] += dropout mask · (dreduced A), in the members' order. reduced is what the forward pass wrote. x and
 *  dx come from memory once for all members, on CUDA as above. */
VBL_API vbl_status vbl_lowrank_backward(vbl_stream *stream, const vbl_lowrank *lowrank, const vbl_step *step,
                                        const void *x, const vbl_lowrank_matrices *matrices, void *dx, void *scratch,
                                        int64_t scratch_bytes);

/** The mask of a member, by its number from 0: 0 or 1 / (1 - dropout), as mask [tokens, in]. */
VBL_API vbl_status vbl_dropout_mask(vbl_stream *stream, const vbl_lowrank *lowrank, int32_t member,
                                    const vbl_step *step, float *mask);

/** The shape of the update of one module's weights. */
typedef struct vbl_lowrank_update {
  int64_t in_features, out_features;
  int32_t r;            /**< 1 .. 65536 */
  int32_t factor_dtype; /**< vbl_dtype of A and B; 0 is float32 */
  float scaling;
  int32_t fan_in_fan_out; /**< weights are [out, in], or [in, out] if not 0 (GPT-2's Conv1D; PEFT's name) */
} vbl_lowrank_update;

/* Every element of an update is summed in float64 over the ranks in their order and rounded once, to nearest even: the same
 * bits on every device. */

/** delta = scaling · B A, float32. */
VBL_API vbl_status vbl_lowrank_delta(vbl_stream *stream, const vbl_lowrank_update *update, const void *a,
                                     const void *bt, float *delta);

/** weight += sign · scaling · B A, in the weight's own vbl_dtype; sign 1 merges, -1 takes the update out again. That gives
 *  the weight from before merging but for the two roundings: where it has to be exact, keep a copy (vbl_memcpy) and copy
 *  it back. */
VBL_API vbl_status vbl_lowrank_merge(vbl_stream *stream, const vbl_lowrank_update *update, int32_t sign, const void *a,
                                     const void *bt, void *weight, int32_t weight_dtype);

#ifdef __cplusplus
}
#endif
#endif
