/* AdamW (Loshchilov, Hutter, ICLR 2019) with PyTorch's arithmetic; gradient norm and clipping.
 *
 * One update of parameter p with gradient g, all in float32, no fused multiply-add:
 *   g' = g · gradient_scale · clip_factor
 *   p  = p · (1 - learning_rate · weight_decay)
 *   m  = m + (g' - m) · (1 - beta1)
 *   v  = v · beta2 + ((1 - beta2) · g') · g'
 *   p  = p + ((-learning_rate / (1 - beta1^t)) · m) / (sqrt(v) / sqrt(1 - beta2^t) + eps)
 * with the constants rounded from float64.
 */
#ifndef VBLORA_OPTIMIZER_H
#define VBLORA_OPTIMIZER_H

#include "vblora/admixture.h"
#include "vblora/common.h"
#include "vblora/runtime.h"
#include "vblora/step.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The constants of a group of parameters in one step; like the step, in device memory. */
typedef struct vbl_adamw_group {
  float neg_step_size;         /**< -learning_rate / (1 - beta1^step) */
  float bias_correction2_sqrt; /**< sqrt(1 - beta2^step) */
  float one_minus_beta1, beta2, one_minus_beta2, eps;
  float decay; /**< 1 - learning_rate · weight_decay */
} vbl_adamw_group;

/** Fills a group, in host memory, for step t = step >= 1. betas in [0, 1), eps > 0, learning_rate and weight_decay not
 *  negative. */
VBL_API vbl_status vbl_adamw_group_set(vbl_adamw_group *group, int64_t step, double learning_rate, double beta1,
                                       double beta2, double eps, double weight_decay);

/** Scratch of vbl_sum_squares; -1, and vbl_last_error(), for an invalid argument. */
VBL_API int64_t vbl_sum_squares_scratch_bytes(const vbl_stream *stream, int64_t n);
/** *sum += the sum of x[i]^2 over n elements, in float64 and in a fixed order. */
VBL_API vbl_status vbl_sum_squares(vbl_stream *stream, int64_t n, const float *x, double *sum, void *scratch,
                                   int64_t scratch_bytes);
/** From *sum, the sum of squares of all gradients before gradient_scale: step->gradient_norm = sqrt(sum) ·
 *  gradient_scale and step->clip_factor = min(1, max_norm / (gradient_norm + 1e-6)), as in PyTorch's clip_grad_norm_
 *  (NaN if the norm is NaN); 1 if max_norm is 0, which means no clipping. */
VBL_API vbl_status vbl_clip(vbl_stream *stream, const double *sum, float max_norm, vbl_step *step);

/** Dense AdamW on n parameters with the constants of their group. Here and below, whether the group is filled is only
 *  checked in host memory. */
VBL_API vbl_status vbl_adamw(vbl_stream *stream, int64_t n, const vbl_step *step, const vbl_adamw_group *group,
                             float *parameter, const float *gradient, float *exp_avg, float *exp_avg_sq);

/** Dense AdamW on all logits [rows, num_vectors], the gradient being dlogits [rows, topk] at indices and zero
 *  elsewhere, and the next selection in the same pass: indices [rows, topk] are read, and then indices and weights are
 *  overwritten as by vbl_select; bad_row as there. exp_avg, exp_avg_sq: [rows, num_vectors]. On CUDA an index out of
 *  range is ignored. */
VBL_API vbl_status vbl_adamw_select(vbl_stream *stream, const vbl_admixture *admixture, const vbl_step *step,
                                    const vbl_adamw_group *group, float *logits, const float *dlogits, float *exp_avg,
                                    float *exp_avg_sq, int32_t *indices, float *weights, int64_t *bad_row);

#ifdef __cplusplus
}
#endif
#endif
