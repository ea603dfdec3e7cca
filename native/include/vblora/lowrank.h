/* The low-rank branch of an adapted linear layer: y = x Wt + bias + scaling · (drop(x) At) Bt, forward and backward.
 *
 * x [tokens, in], y [tokens, out], A [r, in], B as its transpose bt [r, out]; x~ = drop(x).
 * Dropout is inverted dropout with a Philox4x32-10 mask (Salmon et al., SC 2011) keyed by (seed, step, micro-batch, module,
 * element), never by a running counter: element e = (first_token + token) · in + column of module m draws
 *   word e mod 4 of Philox(counter = {lo32(e / 4), hi16 of (e / 4) | micro_batch << 16, m, lo32(step)}, key = seed)
 * and is kept if that word >= round(dropout · 2^32); kept elements are multiplied by 1 / (1 - dropout).
 */
#ifndef VBLORA_LOWRANK_H
#define VBLORA_LOWRANK_H

#include "vblora/common.h"
#include "vblora/optimizer.h"
#include "vblora/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/** One module's shape. */
typedef struct vbl_lowrank {
  int64_t tokens, in_features, out_features;
  int32_t r;       /**< from 1 */
  uint32_t module; /**< key of the module's dropout */
  float dropout;   /**< probability in [0, 1); 0 draws nothing and leaves step unread */
  float scaling;   /**< 1 for VB-LoRA, lora_alpha / r for LoRA */
  int64_t first_token; /**< place of the first token in its batch, where a batch is passed in pieces; for dropout */
} vbl_lowrank;

/** p [tokens, r] = x~ At, and y += scaling · p Bt. */
VBL_API vbl_status vbl_lowrank_forward(vbl_stream *stream, const vbl_lowrank *lowrank, const vbl_step *step,
                                       const float *x, const float *a, const float *bt, float *p, float *y);

/** With q [tokens, r] = scaling · dy B (written to q): da += qt x~, dbt += scaling · pt dy, and, unless dx is NULL,
 *  dx [tokens, in] += dropout mask · (q A). p is what the forward pass wrote. */
VBL_API vbl_status vbl_lowrank_backward(vbl_stream *stream, const vbl_lowrank *lowrank, const vbl_step *step,
                                        const float *x, const float *dy, const float *a, const float *bt, const float *p,
                                        float *q, float *dx, float *da, float *dbt);

/** The mask itself, 0 or 1 / (1 - dropout), as mask [tokens, in]. */
VBL_API vbl_status vbl_dropout_mask(vbl_stream *stream, const vbl_lowrank *lowrank, const vbl_step *step, float *mask);

#ifdef __cplusplus
}
#endif
#endif
