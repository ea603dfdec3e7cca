// One adapted 4 x 4 layer of rank 1 from C++, and a whole training step of its admixture: the first A and B, their
// gradients taken back to bank and logits, clipping, AdamW with the next selection, and the next A and B.
#include <vblora/vblora.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <vector>

extern "C" int32_t abi_version_seen_from_c(void);

#define TRY(call) \
  do { \
    if ((call) != VBL_OK) { \
      std::fprintf(stderr, "%s: %s\n", #call, vbl_last_error()); \
      return 1; \
    } \
  } while (0)

namespace {

enum Group { kBank, kLogits };  // parameter groups of the step

void print_matrices(const char *when, const std::vector<float> &packed) {
  std::printf("%s\n  A  = %g %g %g %g\n", when, packed[0], packed[1], packed[2], packed[3]);
  std::printf("  Bt = %g %g %g %g\n", packed[4], packed[5], packed[6], packed[7]);
}

bool near(const char *what, const std::vector<float> &found, const std::vector<float> &expected) {
  bool right = found.size() == expected.size();
  for (size_t i = 0; right && i < found.size(); ++i) right = std::fabs(found[i] - expected[i]) < 1e-6f;
  if (!right) std::printf("%s: not as expected\n", what);
  return right;
}

}  // namespace

int main() {
  if (vbl_abi_version() != VBL_ABI_VERSION || abi_version_seen_from_c() != VBL_ABI_VERSION) {
    std::fprintf(stderr, "the headers are of ABI version %d, the library of %d\n", VBL_ABI_VERSION, vbl_abi_version());
    return 1;
  }

  // A bank of 3 vectors of length 2; A [1, 4] and B [4, 1] are 2 sub-vectors each, so there are 4 rows of 3 logits.
  vbl_admixture admixture = {};
  admixture.rows = 4;
  admixture.num_vectors = 3;
  admixture.vector_length = 2;
  admixture.topk = 2;
  admixture.slots = nullptr;  // row n is packed sub-vector n: with rank 1, B transposed has the order of B
  std::vector<float> bank = {1, 0, 0, 1, 2, 2};
  std::vector<float> logits = {0, 0, -9, 5, -9, 5, -9, 1, 1, 3, 3, 3};

  // Everything is the caller's memory, of the stream's device; here, any memory of the host.
  std::vector<int32_t> indices(8);
  std::vector<float> weights(8), packed(8), dlogits(8), dbank(6), bank_exp_avg(6), bank_exp_avg_sq(6);
  int64_t bad_row = -1;
  // Of the logits the selected ones alone have optimizer state, in lists that here have room for all.
  std::vector<int32_t> count(4), index(12), candidate_count(4), candidate_index(8);
  std::vector<float> logit(12), exp_avg(12), exp_avg_sq(12);
  int32_t max_count = 0;
  vbl_active active = {};
  active.capacity = 3;
  active.candidates = 2;
  active.count = count.data();
  active.index = index.data();
  active.logit = logit.data();
  active.exp_avg = exp_avg.data();
  active.exp_avg_sq = exp_avg_sq.data();
  active.candidate_count = candidate_count.data();
  active.candidate_index = candidate_index.data();
  active.max_count = &max_count;

  vbl_stream *stream = nullptr;
  TRY(vbl_stream_create(VBL_DEVICE_CPU, 0, &stream));
  std::vector<char> scratch(static_cast<size_t>(std::max({vbl_admixture_backward_scratch_bytes(stream, &admixture),
                                                          vbl_active_scratch_bytes(stream, &admixture),
                                                          vbl_sum_squares_scratch_bytes(stream, 6),
                                                          vbl_sum_squares_scratch_bytes(stream, 8)})));
  const auto bytes = static_cast<int64_t>(scratch.size());

  // The beginning, once.
  TRY(vbl_select(stream, &admixture, logits.data(), indices.data(), weights.data(), &bad_row));
  TRY(vbl_active_load(stream, &admixture, &active, logits.data(), nullptr, nullptr, scratch.data(), bytes));
  TRY(vbl_compose(stream, &admixture, bank.data(), indices.data(), weights.data(), packed.data(), VBL_FLOAT32));
  print_matrices("first", packed);
  // By hand: every row mixes two vectors of equal logits, so with weights of a half; ties go to the lower index.
  bool right = near("first A and Bt", packed, {0.5f, 0.5f, 1.5f, 1, 1, 1.5f, 0.5f, 0.5f});

  // A step. Whoever runs the model returns the gradients of A and Bt in the same places.
  const std::vector<float> dpacked = {1, 0, 1, 0, 1, 0, 1, 0};
  vbl_step step = {};
  step.step = 1;
  step.gradient_scale = 1;
  const double learning_rate_bank = 0.1, learning_rate_logits = 0.5 * std::log(3.0);  // for round numbers below
  TRY(vbl_adamw_group_set(&step.group[kBank], step.step, learning_rate_bank, 0.9, 0.999, 1e-8, 0));
  TRY(vbl_adamw_group_set(&step.group[kLogits], step.step, learning_rate_logits, 0.9, 0.999, 1e-8, 0));

  TRY(vbl_admixture_backward(stream, &admixture, bank.data(), indices.data(), weights.data(), dpacked.data(),
                             dlogits.data(), dbank.data(), scratch.data(), bytes));
  right = near("dlogits", dlogits, {0.25f, -0.25f, -0.25f, 0.25f, -0.5f, 0.5f, 0.25f, -0.25f}) && right;
  right = near("dbank", dbank, {1.5f, 0, 1.5f, 0, 1, 0}) && right;

  double squares = 0;
  TRY(vbl_sum_squares(stream, 6, dbank.data(), &squares, scratch.data(), bytes));
  TRY(vbl_sum_squares(stream, 8, dlogits.data(), &squares, scratch.data(), bytes));
  TRY(vbl_clip(stream, &squares, 1, &step));  // to a norm of 1
  const float norm = std::sqrt(6.375f);       // 2 · 1.5² + 1 + 6 · 0.25² + 2 · 0.5²
  right = near("norm and clip factor", {step.gradient_norm, step.clip_factor}, {norm, 1 / (norm + 1e-6f)}) && right;

  TRY(vbl_adamw(stream, 6, &step, kBank, bank.data(), dbank.data(), bank_exp_avg.data(), bank_exp_avg_sq.data()));
  TRY(vbl_adamw_active_select(stream, &admixture, &active, &step, kLogits, logits.data(), dlogits.data(),
                              indices.data(), weights.data(), &bad_row, scratch.data(), bytes));
  TRY(vbl_compose(stream, &admixture, bank.data(), indices.data(), weights.data(), packed.data(), VBL_FLOAT32));
  print_matrices("after one step", packed);

  // AdamW's first step moves every number by its learning rate against the sign of its gradient. So the logits of a
  // row's two vectors are now ln 3 apart, which makes weights of 3/4 and 1/4; but in the last row, where all three were
  // equal, the one that was not selected comes in between them: weights √3 / (1 + √3) and 1 / (1 + √3).
  const float most = std::sqrt(3.0f) / (1 + std::sqrt(3.0f));
  right = near("bank", bank, {0.9f, 0, -0.1f, 1, 1.9f, 2}) && right;
  right = indices == std::vector<int32_t>{1, 0, 0, 2, 1, 2, 1, 2} && right;
  right = near("weights", weights, {0.75f, 0.25f, 0.75f, 0.25f, 0.75f, 0.25f, most, 1 - most}) && right;
  right = near("next A and Bt", packed, {0.15f, 0.75f, 1.15f, 0.5f, 0.4f, 1.25f, 1.9f - 2 * most, 2 - most}) && right;
  right = bad_row == -1 && max_count == 2 && right;

  TRY(vbl_stream_destroy(stream));
  std::printf("%s\n", right ? "as expected" : "not as expected");
  return right ? 0 : 1;
}
