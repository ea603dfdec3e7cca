/* The step that ops run in: what changes between steps and micro-batches, for dropout, clipping and optimizers. */
#ifndef VBLORA_STEP_H
#define VBLORA_STEP_H

#include "vblora/common.h"

#ifdef __cplusplus
extern "C" {
#endif

/** In device memory, so that a captured graph replays correctly. */
typedef struct vbl_step {
  int64_t step;         /**< optimizer step, from 1 */
  uint64_t seed;        /**< of dropout */
  int32_t micro_batch;  /**< micro-batch within the step, from 0 */
  float gradient_scale; /**< applied to every gradient first, e.g. 1 / loss scale */
  float clip_factor;    /**< written by vbl_clip, at most 1 */
  float gradient_norm;  /**< written by vbl_clip: global 2-norm after gradient_scale, before clipping */
} vbl_step;

#ifdef __cplusplus
}
#endif
#endif
