/* The ops of Llama-type decoders and BERT-type encoders around their matrix products, forward and backward.
 * The rows of a batch are its tokens. A matrix with a leading dimension (ld...) may be columns of a wider one: that many
 * elements lie from the beginning of a row to that of the next; 0 stands for no padding between rows. What lies between
 * rows is neither read nor written.
 * Activations and their gradients, which are void *, are of the op's dtype (vbl_dtype; 0 is float32); on the CPU that
 * must be float32 (VBL_UNSUPPORTED). Everything of float * is float32 whatever the dtype: weights and biases of norms
 * and layers, statistics, tables of cos and sin, and the gradients of parameters.
 * An op's gradients are those that it documents: the weights of a frozen model need none. */
#ifndef VBLORA_TRANSFORMER_H
#define VBLORA_TRANSFORMER_H

#include "vblora/common.h"
#include "vblora/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/** out [tokens, hidden] = table[ids], or with accumulate 1 (else 0) out += table[ids]; table [vocab, hidden] of
 *  table_dtype (vbl_dtype). ids must lie in [0, vocab). */
VBL_API vbl_status vbl_embedding_forward(vbl_stream *stream, int32_t dtype, int64_t tokens, int64_t hidden,
                                         int64_t vocab, const int32_t *ids, const void *table, int32_t table_dtype,
                                         int32_t accumulate, void *out);
/** dtable [vocab, hidden] += for every token t: dout[t] at row ids[t]. */
VBL_API vbl_status vbl_embedding_backward(vbl_stream *stream, int32_t dtype, int64_t tokens, int64_t hidden,
                                          int64_t vocab, const int32_t *ids, const void *dout, float *dtable);

/** y = x · rstd · weight with rstd = 1 / sqrt(mean(x^2) + eps) per row; x, y [rows, hidden], weight [hidden],
 *  rstd [rows] (written). y may be x. */
VBL_API vbl_status vbl_rmsnorm_forward(vbl_stream *stream, int32_t dtype, int64_t rows, int64_t hidden, float eps,
                                       const void *x, const float *weight, void *y, float *rstd);
/** dx [rows, hidden] += the gradient of x. */
VBL_API vbl_status vbl_rmsnorm_backward(vbl_stream *stream, int32_t dtype, int64_t rows, int64_t hidden, const void *dy,
                                        const void *x, const float *weight, const float *rstd, void *dx);

/** y = (x - mean) · rstd · weight + bias with the row's mean, and rstd = 1 / sqrt(mean((x - mean)^2) + eps); x, y
 *  [rows, hidden], weight, bias [hidden], mean, rstd [rows] (written). Sums are in float64. y may be x. */
VBL_API vbl_status vbl_layernorm_forward(vbl_stream *stream, int32_t dtype, int64_t rows, int64_t hidden, float eps,
                                         const void *x, const float *weight, const float *bias, void *y, float *mean,
                                         float *rstd);
/** dx [rows, hidden] = the gradient of x, from the forward pass's x, mean and rstd. dx may be dy. */
VBL_API vbl_status vbl_layernorm_backward(vbl_stream *stream, int32_t dtype, int64_t rows, int64_t hidden,
                                          const void *dy, const void *x, const float *weight, const float *mean,
                                          const float *rstd, void *dx);

/** dweight [hidden] += the gradient of either norm's weight: the sums over rows of dy · (x - mean) · rstd, from the
 *  forward pass's x, mean (NULL: RMSNorm, which has none) and rstd; in float64 and from the first row on. LayerNorm's
 *  bias has that of vbl_add_bias_backward. */
VBL_API vbl_status vbl_norm_weight_backward(vbl_stream *stream, int32_t dtype, int64_t rows, int64_t hidden,
                                            const void *dy, const void *x, const float *mean, const float *rstd,
                                            float *dweight);

/** Rotary position embedding in place, half-split as Hugging Face's rotate_half: for every token and head, with
 *  c, s = cos, sin [positions, head_dim / 2] at row positions[token]: (x1, x2) -> (x1 c - x2 s, x2 c + x1 s), x1 and x2
 *  the two halves of the head. x [tokens, heads · head_dim] with leading dimension ldx. inverse 1 rotates back, which
 *  is the backward pass. */
VBL_API vbl_status vbl_rope(vbl_stream *stream, int32_t dtype, int64_t tokens, int32_t heads, int32_t head_dim,
                            const int32_t *positions, const float *cos, const float *sin, int32_t inverse, void *x,
                            int64_t ldx);

/** How the rows of a matrix, one per token, make sequences; in host memory, the pointers in it are device memory. */
typedef struct vbl_sequences {
  int64_t rows;           /**< of all sequences together */
  int32_t length;         /**< the longest sequence's number of rows */
  const int32_t *starts;  /**< [batch + 1] each sequence's first row, then rows; NULL: b · length for sequence b */
  const int32_t *lengths; /**< [batch] tokens of each, 0 to its rows, of which the last are padding; NULL: all rows */
} vbl_sequences;

/** The shape of an attention. Query head i uses key/value head i / (heads / kv_heads). */
typedef struct vbl_attention {
  int32_t batch; /**< sequences */
  int32_t heads, kv_heads, head_dim;
  int32_t causal;        /**< 1: a sequence's last query sees all its keys, and each one before it one fewer, so that
                              it has no more queries than keys; 0: all keys */
  float scale;           /**< of the scores, usually 1 / sqrt(head_dim) */
  vbl_sequences queries; /**< rows of q and out */
  vbl_sequences keys;    /**< rows of k and v; with 0 rows: those of q, as in training */
  int64_t ldq;           /**< leading dimension of q and dq */
  int64_t ldkv;          /**< of k, v, dk and dv */
  int64_t ldout;         /**< of out and dout */
  int32_t dtype;         /**< vbl_dtype of q, k, v, out and their gradients; 0 is float32 */
  int32_t page_rows;     /**< 0, or k and v are pages of so many rows, as a cache's are: keys.rows counts those of all
                              pages, keys.lengths says how many keys a sequence has, keys.starts is NULL, and key i of
                              sequence b has row i mod page_rows of page block_table[b][i / page_rows] */
  int32_t blocks;        /**< columns of block_table, which hold keys.length keys */
  const int32_t *block_table; /**< [batch, blocks] (device memory) pages, of which those without keys are not read */
} vbl_attention;

/** out = softmax(scale · q kt + mask) v. q, out [queries.rows, heads · head_dim], k, v [keys.rows, kv_heads ·
 *  head_dim]; lse [heads, queries.rows] (written) the log of each query's sum of exponentials. out and lse are 0 at
 *  padding, which is not read in any input. Queries need a key. Keys in pages give the bits that keys in rows give. */
VBL_API vbl_status vbl_attention_forward(vbl_stream *stream, const vbl_attention *attention, const void *q,
                                         const void *k, const void *v, void *out, float *lse, void *scratch,
                                         int64_t scratch_bytes);
/** dq, dk, dv (overwritten; zero at padding) from dout and what the forward pass saw and wrote. VBL_UNSUPPORTED for keys
 *  in pages. */
VBL_API vbl_status vbl_attention_backward(vbl_stream *stream, const vbl_attention *attention, const void *q,
                                          const void *k, const void *v, const void *out, const float *lse,
                                          const void *dout, void *dq, void *dk, void *dv, void *scratch,
                                          int64_t scratch_bytes);
/** Scratch of either pass; -1, and vbl_last_error(), for an invalid argument, -VBL_UNSUPPORTED for a dtype that the
 *  device does not have. starts and lengths are not read. */
VBL_API int64_t vbl_attention_scratch_bytes(const vbl_stream *stream, const vbl_attention *attention);

/** out = silu(gate) · up, silu(z) = z / (1 + exp(-z)); all [rows, columns], gate and up with leading dimension ldg. */
VBL_API vbl_status vbl_silu_mul_forward(vbl_stream *stream, int32_t dtype, int64_t rows, int64_t columns,
                                        const void *gate, const void *up, int64_t ldg, void *out, int64_t ldout);
/** dgate and dup (overwritten; leading dimension lddg; each may be dout itself). */
VBL_API vbl_status vbl_silu_mul_backward(vbl_stream *stream, int32_t dtype, int64_t rows, int64_t columns,
                                         const void *gate, const void *up, int64_t ldg, const void *dout,
                                         int64_t lddout, void *dgate, void *dup, int64_t lddg);

/** Activations of one argument. Where x is not a number, neither is the result. Forward, GELU, GELU_TANH and TANH are
 *  within 8, 4 and 3 units in the last place of results from 1e-36 on, and within 3 of x; their slopes, which dy is
 *  multiplied by, within 2^-22. */
typedef enum vbl_activation {
  VBL_GELU = 0,      /**< x/2 · (1 + erf(x / sqrt(2))) */
  VBL_GELU_TANH = 1, /**< x/2 · (1 + tanh(sqrt(2/pi) · (x + 0.044715 x^3))) */
  VBL_RELU = 2,      /**< max(x, 0), with the slope 0 at 0 */
  VBL_TANH = 3
} vbl_activation;

/** inner [rows, columns] += bias [columns], unless bias is NULL, and activated = activation(inner), in one pass and
 *  with the bits of the two one after the other. activated may be inner, which is then not kept. */
VBL_API vbl_status vbl_bias_activation_forward(vbl_stream *stream, int32_t dtype, int32_t activation, int64_t rows,
                                               int64_t columns, const float *bias, void *inner, int64_t ldi,
                                               void *activated, int64_t lda);
/** dinner = dactivated · activation'(inner), inner being what the forward pass left; dinner may be dactivated, or
 *  inner. dbias, unless NULL, += the sums of dinner's columns, as vbl_add_bias_backward makes them. */
VBL_API vbl_status vbl_bias_activation_backward(vbl_stream *stream, int32_t dtype, int32_t activation, int64_t rows,
                                                int64_t columns, const void *inner, int64_t ldi, const void *dactivated,
                                                int64_t ldda, void *dinner, int64_t lddi, float *dbias);

/** y [rows, columns] += bias [columns]. */
VBL_API vbl_status vbl_add_bias(vbl_stream *stream, int32_t dtype, int64_t rows, int64_t columns, const float *bias,
                                void *y, int64_t ldy);
/** dbias [columns] += the sums of dy's [rows, columns] columns, in float64 and from the first row on. */
VBL_API vbl_status vbl_add_bias_backward(vbl_stream *stream, int32_t dtype, int64_t rows, int64_t columns,
                                         const void *dy, int64_t lddy, float *dbias);

/** How the tokens of a sequence become one row. */
typedef enum vbl_pooling {
  VBL_POOL_CLS = 0, /**< the first token */
  VBL_POOL_MEAN = 1 /**< the mean of all tokens */
} vbl_pooling;

/** out [batch, hidden] from x [tokens, hidden]: sequence b has rows starts[b] .. starts[b + 1] - 1, and out is 0 where
 *  it has none; starts [batch + 1] (device memory) begins with 0 and ends with tokens. Sums are in float64 and from the
 *  first token on. */
VBL_API vbl_status vbl_pool_forward(vbl_stream *stream, int32_t dtype, int32_t pooling, int64_t batch, int64_t tokens,
                                    int64_t hidden, const int32_t *starts, const void *x, void *out);
/** dx [tokens, hidden] (overwritten; 0 in what was not pooled) from dout [batch, hidden]. */
VBL_API vbl_status vbl_pool_backward(vbl_stream *stream, int32_t dtype, int32_t pooling, int64_t batch, int64_t tokens,
                                     int64_t hidden, const int32_t *starts, const void *dout, void *dx);

/** Label of a row that does not count. */
#define VBL_IGNORE_INDEX (-100)

/** Scratch of vbl_cross_entropy. */
VBL_API int64_t vbl_cross_entropy_scratch_bytes(const vbl_stream *stream, int64_t rows);
/** Softmax cross-entropy of logits [rows, vocab] against labels [rows] in [0, vocab) or VBL_IGNORE_INDEX.
 *  *loss_sum += the sum of -log softmax(logits)[label] over the rows that count, in float64 and in a fixed order.
 *  dlogits, unless NULL: (softmax - onehot) · *scale, 0 in ignored rows; it may be logits itself. scale (one float in
 *  device memory) is not read if dlogits is NULL. */
VBL_API vbl_status vbl_cross_entropy(vbl_stream *stream, int32_t dtype, int64_t rows, int64_t vocab, const void *logits,
                                     const int32_t *labels, const float *scale, double *loss_sum, void *dlogits,
                                     void *scratch, int64_t scratch_bytes);

/** Scratch of vbl_squared_error. */
VBL_API int64_t vbl_squared_error_scratch_bytes(const vbl_stream *stream, int64_t n);
/** *loss_sum += the sum over n of (predictions - targets)^2, in float64 and in a fixed order. dpredictions, unless
 *  NULL: 2 (predictions - targets) · *scale; it may be predictions itself. scale (one float in device memory) is not
 *  read if dpredictions is NULL. */
VBL_API vbl_status vbl_squared_error(vbl_stream *stream, int32_t dtype, int64_t n, const void *predictions,
                                     const float *targets, const float *scale, double *loss_sum, void *dpredictions,
                                     void *scratch, int64_t scratch_bytes);

#ifdef __cplusplus
}
#endif
#endif
