/* The top-k admixture of VB-LoRA (Li, Han, Ji, NeurIPS 2024, arXiv 2405.15179, section 3.2), for a whole model at once.
 *
 * A model's sub-vectors are the rows of one logits matrix [rows, num_vectors]. Row n: S = the topk largest logits
 * (ties: the lower index), w = softmax(logits[n, S]), u = sum over s in S of w_s · bank[s]; u is vector_length numbers.
 * Composed sub-vectors lie in one packed buffer of rows · vector_length elements, which holds A of a module as [r, in]
 * and B as its transpose [r, out]; row n goes to elements [slots[n] · vector_length, +vector_length).
 */
#ifndef VBLORA_ADMIXTURE_H
#define VBLORA_ADMIXTURE_H

#include "vblora/common.h"
#include "vblora/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The shape of an admixture, in host memory; the pointers in it are device memory. */
typedef struct vbl_admixture {
  int64_t rows;          /**< N: sub-vectors of all modules, 1 to 2^31 - 1 */
  int32_t num_vectors;   /**< h: bank vectors, 1 to 2^24 */
  int32_t vector_length; /**< b: elements of a bank vector, from 1 */
  int32_t topk;          /**< k: vectors mixed into a sub-vector, 1 to num_vectors */
  const int32_t *slots;  /**< [rows] a permutation of 0 .. rows-1: row to packed sub-vector; NULL is the identity */
} vbl_admixture;

/** Full scan: logits [rows, num_vectors] -> indices [rows, topk], weights [rows, topk], both by descending logit.
 *  bad_row (one int64 in device memory): the lowest row that holds a NaN or whose largest logit is infinite; -1 if
 *  there is none. Such a row's weights are all NaN, and its indices are selected with NaN above every number. */
VBL_API vbl_status vbl_select(vbl_stream *stream, const vbl_admixture *admixture, const float *logits, int32_t *indices,
                              float *weights, int64_t *bad_row);

/** bank [num_vectors, vector_length], indices and weights [rows, topk] -> packed [rows · vector_length] of dtype.
 *  Sums are float64, in the order of the indices, rounded once to float32 and then to dtype. Here as in every op that
 *  reads indices, one outside 0 .. num_vectors-1 (or a slot outside 0 .. rows-1) is VBL_INVALID_ARGUMENT on the CPU,
 *  before anything is written. A CUDA stream cannot report it: there a sub-vector with such an index is NaN, and a row
 *  with such a slot is left out. The bits are the same on all devices, except for those of a NaN. */
VBL_API vbl_status vbl_compose(vbl_stream *stream, const vbl_admixture *admixture, const float *bank,
                               const int32_t *indices, const float *weights, void *packed, int32_t dtype);

/** Scratch of vbl_admixture_backward on this stream; -1, and vbl_last_error(), for an invalid argument, and
 *  -VBL_UNSUPPORTED for sizes that it does not support there. */
VBL_API int64_t vbl_admixture_backward_scratch_bytes(const vbl_stream *stream, const vbl_admixture *admixture);

/** dpacked [rows · vector_length] -> dlogits [rows, topk], the gradient of the selected logits in the order of indices
 *  (all others are zero): dlogits_s = w_s (g_s - sum_j w_j g_j), g_s = <du, bank[s]>; and dbank
 *  [num_vectors, vector_length] = sum of w_s du. Both outputs are overwritten. Sums are float64, rounded once; the
 *  order of summation is fixed, but not the same on CUDA devices as on the CPU. On CUDA devices an index or slot out of
 *  range adds nothing to dbank, and its row of dlogits becomes NaN; VBL_UNSUPPORTED if rows · topk is over 2^31 - 1,
 *  rows · topk · vector_length over 2^42 or num_vectors · vector_length over 2^38. */
VBL_API vbl_status vbl_admixture_backward(vbl_stream *stream, const vbl_admixture *admixture, const float *bank,
                                          const int32_t *indices, const float *weights, const float *dpacked,
                                          float *dlogits, float *dbank, void *scratch, int64_t scratch_bytes);

#ifdef __cplusplus
}
#endif
#endif
