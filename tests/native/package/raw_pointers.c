// VB-LoRA's admixture from C, on memory of the caller's: one adapted 4 x 4 layer of rank 1, its first A and B, and a
// whole training step, from the gradients of A and B to the next A and B. docs/raw-pointers.md tells the rules.
//
//     raw_pointers [device]     -1, the default, is the CPU; 0 and up are CUDA devices
//
// One sequence of calls serves both: whatever an op reads or writes is memory of its stream's device. What it prints is
// compared with values calculated by hand. The exit status is the vbl_status of what failed, VBL_OK if nothing did.
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <vblora/vblora.h>

#define TRY(call)                                \
  do {                                           \
    const vbl_status try_status = (call);        \
    if (try_status != VBL_OK) return try_status; \
  } while (0)

// A bank of 3 vectors of length 2; A [1, 4] and B [4, 1] are 2 sub-vectors each, so there are 4 rows of 3 logits.
enum { ROWS = 4, NUM_VECTORS = 3, VECTOR_LENGTH = 2, TOPK = 2 };
// Elements of the bank, of the logits, of what is selected, and of A and B together.
enum { BANK = NUM_VECTORS * VECTOR_LENGTH, LOGITS = ROWS * NUM_VECTORS, SELECTED = ROWS * TOPK };
enum { PACKED = ROWS * VECTOR_LENGTH };
// Optimizer state of logits: room for all entries of a row, so that no list can overflow.
enum { CAPACITY = NUM_VECTORS, CANDIDATES = TOPK };

typedef struct {
  int32_t device;
  vbl_stream *stream;

  // In host memory; the pointers in active are the device's.
  vbl_admixture shape;
  vbl_active active;

  // Memory of the device.
  float *packed, *dpacked;  // A and B transposed, and their gradients: the other library's
  float *bank, *dbank, *bank_exp_avg, *bank_exp_avg_sq;
  float *logits, *dlogits;
  int32_t *indices;
  float *weights;
  int64_t *bad_row;
  double *squares;
  vbl_step *step;
  vbl_adamw_group *bank_group, *logits_group;
  void *scratch;
  int64_t scratch_bytes;

  void *blocks[32];  // all of it, for closing
  int num_blocks;
  vbl_status allocation;  // the first failure of zeros()
  int wrong;              // values not as expected
} training;

// Memory of the device with zeros, for count elements of size bytes; NULL once an allocation has failed.
static void *zeros(training *t, int64_t count, size_t size) {
  void *memory = NULL;
  const int64_t bytes = count * (int64_t)size;
  if (t->allocation == VBL_OK) t->allocation = vbl_malloc(t->device, bytes, &memory);
  if (memory == NULL) return NULL;
  t->blocks[t->num_blocks++] = memory;
  t->allocation = vbl_memset(t->stream, memory, 0, bytes);
  return memory;
}

// What the ops of this stream need at most: they run one after another, so one block serves them all.
static int64_t scratch_bytes(const training *t) {
  const int64_t bytes[] = {
      vbl_admixture_backward_scratch_bytes(t->stream, &t->shape),
      vbl_active_scratch_bytes(t->stream, &t->shape),
      vbl_sum_squares_scratch_bytes(t->stream, BANK),
      vbl_sum_squares_scratch_bytes(t->stream, SELECTED),
  };
  int64_t most = 0;
  for (size_t i = 0; i < sizeof bytes / sizeof *bytes; ++i) {
    if (bytes[i] < 0) return -1;
    if (bytes[i] > most) most = bytes[i];
  }
  return most;
}

static vbl_status open_training(training *t) {
  // With a cudaStream_t of your own: vbl_stream_wrap(device, stream, &t->stream).
  TRY(vbl_stream_create(t->device, 0, &t->stream));
  // slots NULL: row n is packed sub-vector n. With rank 1, B transposed has the order of B.
  t->shape = (vbl_admixture){
      .rows = ROWS, .num_vectors = NUM_VECTORS, .vector_length = VECTOR_LENGTH, .topk = TOPK, .slots = NULL};

  t->packed = zeros(t, PACKED, sizeof(float));
  t->dpacked = zeros(t, PACKED, sizeof(float));
  t->bank = zeros(t, BANK, sizeof(float));
  t->dbank = zeros(t, BANK, sizeof(float));
  t->bank_exp_avg = zeros(t, BANK, sizeof(float));
  t->bank_exp_avg_sq = zeros(t, BANK, sizeof(float));
  t->logits = zeros(t, LOGITS, sizeof(float));
  t->dlogits = zeros(t, SELECTED, sizeof(float));
  t->indices = zeros(t, SELECTED, sizeof(int32_t));
  t->weights = zeros(t, SELECTED, sizeof(float));
  t->bad_row = zeros(t, 1, sizeof(int64_t));
  t->squares = zeros(t, 1, sizeof(double));
  t->step = zeros(t, 1, sizeof(vbl_step));
  t->bank_group = zeros(t, 1, sizeof(vbl_adamw_group));
  t->logits_group = zeros(t, 1, sizeof(vbl_adamw_group));
  t->active.capacity = CAPACITY;
  t->active.candidates = CANDIDATES;
  t->active.count = zeros(t, ROWS, sizeof(int32_t));
  t->active.index = zeros(t, ROWS * CAPACITY, sizeof(int32_t));
  t->active.logit = zeros(t, ROWS * CAPACITY, sizeof(float));
  t->active.exp_avg = zeros(t, ROWS * CAPACITY, sizeof(float));
  t->active.exp_avg_sq = zeros(t, ROWS * CAPACITY, sizeof(float));
  t->active.candidate_count = zeros(t, ROWS, sizeof(int32_t));
  t->active.candidate_index = zeros(t, ROWS * CANDIDATES, sizeof(int32_t));
  t->active.max_count = zeros(t, 1, sizeof(int32_t));
  t->scratch_bytes = scratch_bytes(t);
  if (t->scratch_bytes < 0) return VBL_INVALID_ARGUMENT;
  t->scratch = zeros(t, t->scratch_bytes, 1);
  return t->allocation;
}

// The stream's work ends before its memory goes. After a failure of open_training() it frees what there is.
static vbl_status close_training(training *t) {
  TRY(vbl_stream_destroy(t->stream));
  while (t->num_blocks > 0) TRY(vbl_free(t->device, t->blocks[--t->num_blocks]));
  return VBL_OK;
}

// Once: the parameters, the first selection, the state of an optimizer that has moved nothing yet, the first A and B.
static vbl_status begin(training *t, const float *bank, const float *logits) {
  TRY(vbl_memcpy(t->stream, t->bank, bank, BANK * sizeof *bank));
  TRY(vbl_memcpy(t->stream, t->logits, logits, LOGITS * sizeof *logits));
  TRY(vbl_select(t->stream, &t->shape, t->logits, t->indices, t->weights, t->bad_row));
  TRY(vbl_active_load(t->stream, &t->shape, &t->active, t->logits, NULL, NULL, t->scratch, t->scratch_bytes));
  TRY(vbl_compose(t->stream, &t->shape, t->bank, t->indices, t->weights, t->packed, VBL_FLOAT32));
  return VBL_OK;
}

// A step, counted from 1: from dpacked to the next A and B. On CUDA the ops only enter the stream.
static vbl_status update(training *t, int64_t number, double bank_rate, double logits_rate, float max_norm) {
  vbl_step step = {.step = number, .gradient_scale = 1, .clip_factor = 1};  // vbl_clip sets the factor anew
  vbl_adamw_group bank_group, logits_group;
  TRY(vbl_adamw_group_set(&bank_group, number, bank_rate, 0.9, 0.999, 1e-8, 0));
  TRY(vbl_adamw_group_set(&logits_group, number, logits_rate, 0.9, 0.999, 1e-8, 0));
  TRY(vbl_memcpy(t->stream, t->step, &step, sizeof step));  // not page-locked: `step` may go when this returns
  TRY(vbl_memcpy(t->stream, t->bank_group, &bank_group, sizeof bank_group));
  TRY(vbl_memcpy(t->stream, t->logits_group, &logits_group, sizeof logits_group));

  TRY(vbl_admixture_backward(t->stream, &t->shape, t->bank, t->indices, t->weights, t->dpacked, t->dlogits, t->dbank,
                             t->scratch, t->scratch_bytes));
  TRY(vbl_memset(t->stream, t->squares, 0, sizeof *t->squares));
  TRY(vbl_sum_squares(t->stream, BANK, t->dbank, t->squares, t->scratch, t->scratch_bytes));
  TRY(vbl_sum_squares(t->stream, SELECTED, t->dlogits, t->squares, t->scratch, t->scratch_bytes));
  TRY(vbl_clip(t->stream, t->squares, max_norm, t->step));
  TRY(vbl_adamw(t->stream, BANK, t->step, t->bank_group, t->bank, t->dbank, t->bank_exp_avg, t->bank_exp_avg_sq));
  TRY(vbl_adamw_active_select(t->stream, &t->shape, &t->active, t->step, t->logits_group, t->logits, t->dlogits,
                              t->indices, t->weights, t->bad_row, t->scratch, t->scratch_bytes));
  TRY(vbl_compose(t->stream, &t->shape, t->bank, t->indices, t->weights, t->packed, VBL_FLOAT32));
  return VBL_OK;
}

// Copies from the device and waits: what follows may read host.
static vbl_status read_back(training *t, void *host, const void *device, int64_t bytes) {
  TRY(vbl_memcpy(t->stream, host, device, bytes));
  TRY(vbl_stream_synchronize(t->stream));
  return VBL_OK;
}

static void note(training *t, const char *what, bool right) {
  printf("%s\n", right ? "" : ": not as expected");
  if (!right) fprintf(stderr, "%s: not as expected\n", what);
  t->wrong += !right;
}

static vbl_status expect(training *t, const char *what, const float *device, int n, const float *expected) {
  float found[LOGITS];  // the longest
  TRY(read_back(t, found, device, n * (int64_t)sizeof *found));
  bool right = true;
  printf("%-14s", what);
  for (int i = 0; i < n; ++i) {
    printf(" %g", found[i]);
    right = right && fabsf(found[i] - expected[i]) < 1e-6f;
  }
  note(t, what, right);
  return VBL_OK;
}

static vbl_status train(training *t) {
  TRY(open_training(t));

  const float bank[BANK] = {1, 0, 0, 1, 2, 2}, logits[LOGITS] = {0, 0, -9, 5, -9, 5, -9, 1, 1, 3, 3, 3};
  TRY(begin(t, bank, logits));
  // Every row mixes two vectors of equal logits, so with weights of a half; ties go to the lower index.
  TRY(expect(t, "first A and Bt", t->packed, PACKED, (float[]){0.5f, 0.5f, 1.5f, 1, 1, 1.5f, 0.5f, 0.5f}));

  // Whoever runs the model adds the gradients of A and B transposed here, in the same places, on the device.
  const float dpacked[PACKED] = {1, 0, 1, 0, 1, 0, 1, 0};
  TRY(vbl_memcpy(t->stream, t->dpacked, dpacked, sizeof dpacked));
  const float l = logf(3) / 2;  // the logits' learning rate, for round weights
  TRY(update(t, 1, 0.1, l, 1));

  TRY(expect(t, "dlogits", t->dlogits, SELECTED, (float[]){0.25f, -0.25f, -0.25f, 0.25f, -0.5f, 0.5f, 0.25f, -0.25f}));
  TRY(expect(t, "dbank", t->dbank, BANK, (float[]){1.5f, 0, 1.5f, 0, 1, 0}));
  const float norm = sqrtf(6.375f);  // 2 · 1.5² + 1 + 6 · 0.25² + 2 · 0.5², clipped to 1
  TRY(expect(t, "norm", &t->step->gradient_norm, 1, &norm));
  TRY(expect(t, "clip factor", &t->step->clip_factor, 1, (float[]){1 / (norm + 1e-6f)}));

  // AdamW's first step moves every number by its learning rate against the sign of its gradient. So the logits of a
  // row's two vectors are now ln 3 apart, which makes weights of 3/4 and 1/4; but in the last row, where all three were
  // equal, the one that was not selected comes in between them: weights √3 / (1 + √3) and 1 / (1 + √3).
  const float most = sqrtf(3) / (1 + sqrtf(3));
  TRY(expect(t, "bank", t->bank, BANK, (float[]){0.9f, 0, -0.1f, 1, 1.9f, 2}));
  TRY(expect(t, "weights", t->weights, SELECTED, (float[]){0.75f, 0.25f, 0.75f, 0.25f, 0.75f, 0.25f, most, 1 - most}));
  TRY(expect(t, "next A and Bt", t->packed, PACKED,
             (float[]){0.15f, 0.75f, 1.15f, 0.5f, 0.4f, 1.25f, 1.9f - 2 * most, 2 - most}));
  // The logits of active entries, for saving, back in the dense matrix; the others have been there all the time.
  TRY(vbl_active_store(t->stream, &t->shape, &t->active, t->logits, NULL, NULL));
  TRY(expect(t, "logits", t->logits, LOGITS,
             (float[]){-l, l, -9, 5 + l, -9, 5 - l, -9, 1 + l, 1 - l, 3 - l, 3 + l, 3}));

  // What only the device could see; a training loop reads these now and then, some steps late.
  int64_t bad_row;
  int32_t max_count;
  TRY(read_back(t, &bad_row, t->bad_row, sizeof bad_row));
  TRY(read_back(t, &max_count, t->active.max_count, sizeof max_count));
  printf("bad row %lld, fullest list %d of %d", (long long)bad_row, max_count, CAPACITY);
  note(t, "bad row or fullest list", bad_row == -1 && max_count == 2);
  return VBL_OK;
}

int main(int argc, char **argv) {
  if (vbl_abi_version() != VBL_ABI_VERSION) {
    fprintf(stderr, "the headers are of ABI version %d, the library of %d\n", VBL_ABI_VERSION, vbl_abi_version());
    return VBL_UNSUPPORTED;
  }
  char *end = "";
  training t = {.device = argc > 1 ? (int32_t)strtol(argv[1], &end, 10) : VBL_DEVICE_CPU};
  if (argc > 2 || *end != '\0') {
    fprintf(stderr, "usage: %s [device]\n", argv[0]);
    return VBL_INVALID_ARGUMENT;
  }
  vbl_status status = train(&t);
  if (status != VBL_OK) fprintf(stderr, "status %d: %s\n", (int)status, vbl_last_error());
  const vbl_status closed = close_training(&t);
  if (status == VBL_OK) status = closed != VBL_OK ? closed : t.wrong > 0 ? VBL_INTERNAL : VBL_OK;
  return (int)status;
}
