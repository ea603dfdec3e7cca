/* AdamW on the logits of an admixture that can move, the active set, in place of all of them.
 *
 * With weight_decay 0 a logit that was never selected has m = v = 0 (optimizer.h) and does not move at all. The ops
 * here rely on that and give the same bits as vbl_adamw_select.
 */
#ifndef VBLORA_ACTIVE_SET_H
#define VBLORA_ACTIVE_SET_H

#include "vblora/admixture.h"
#include "vblora/common.h"
#include "vblora/optimizer.h"
#include "vblora/runtime.h"
#include "vblora/step.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The active-set state of an admixture's logits. Each row lists every entry that was ever selected, with its current
 *  logit and moments, and keeps the best inactive entries as candidates. In host memory; pointers are device memory.
 *
 *  If a row's list would overflow, the op returns VBL_CAPACITY on the CPU. On CUDA it cannot know yet and returns
 *  VBL_OK; on the device it then changes nothing but max_count, and the host learns of it from max_count > capacity
 *  when it next reads that word. Since a step adds at most topk entries to a row, max_count is at most d * topk larger
 *  d steps later: a host that reads it d steps late and grows the state in time never loses a step. */
typedef struct vbl_active {
  int32_t capacity;         /**< C: entries a row's list can hold, topk to num_vectors */
  int32_t candidates;       /**< c: candidates kept per row, at least topk; a row is rescanned when fewer than topk
                                 are left (unless it has no more inactive entries) */
  int32_t *count;           /**< [rows] active entries */
  int32_t *index;           /**< [rows, capacity] in order of activation */
  float *logit;             /**< [rows, capacity] */
  float *exp_avg;           /**< [rows, capacity] */
  float *exp_avg_sq;        /**< [rows, capacity] */
  int32_t *candidate_count; /**< [rows] */
  int32_t *candidate_index; /**< [rows, candidates] best first */
  int32_t *max_count;       /**< [1] count of the fullest row, written by every pass */
} vbl_active;

/** Scratch of the active-set ops on this stream; -1, and vbl_last_error(), for an invalid argument. */
VBL_API int64_t vbl_active_scratch_bytes(const vbl_stream *stream, const vbl_admixture *admixture);

/** Builds the state from dense logits and moments [rows, num_vectors]: an entry is active if a moment is not zero.
 *  exp_avg and exp_avg_sq may both be NULL (all zero). VBL_CAPACITY (on CUDA: max_count > capacity alone), with
 *  nothing changed but max_count (now the need), if a row has more than capacity of them. */
VBL_API vbl_status vbl_active_load(vbl_stream *stream, const vbl_admixture *admixture, const vbl_active *active,
                                   const float *logits, const float *exp_avg, const float *exp_avg_sq, void *scratch,
                                   int64_t scratch_bytes);

/** Writes the current logits of active entries back into dense logits [rows, num_vectors], whose inactive entries are
 *  left as they are, and, where not NULL, dense moments [rows, num_vectors] (overwritten, inactive entries zero). */
VBL_API vbl_status vbl_active_store(vbl_stream *stream, const vbl_admixture *admixture, const vbl_active *active,
                                    float *logits, float *exp_avg, float *exp_avg_sq);

/** Copies a state into one of another capacity or number of candidates; they must not overlap. VBL_CAPACITY (on
 *  CUDA: its max_count > capacity alone), with nothing changed but the max_count of to (now the need), if to cannot
 *  hold every row. */
VBL_API vbl_status vbl_active_copy(vbl_stream *stream, const vbl_admixture *admixture, const vbl_active *from,
                                   const vbl_active *to);

/** AdamW with weight decay 0 (group->decay must be 1, which is not checked on CUDA) on the active entries, and
 *  the next selection.
 *  logits [rows, num_vectors]: values of the entries that are inactive; read only. dlogits, indices, weights, bad_row:
 *  as vbl_adamw_select, and the same bits; on CUDA an index out of range is ignored. A step adds at most topk
 *  entries to a row. VBL_CAPACITY (on CUDA: max_count > capacity alone), with nothing changed but max_count (now the
 *  need), if a row's list would overflow: copy to a larger state and call again. */
VBL_API vbl_status vbl_adamw_active_select(vbl_stream *stream, const vbl_admixture *admixture, const vbl_active *active,
                                           const vbl_step *step, const vbl_adamw_group *group, const float *logits,
                                           const float *dlogits, int32_t *indices, float *weights, int64_t *bad_row,
                                           void *scratch, int64_t scratch_bytes);

#ifdef __cplusplus
}
#endif
#endif
