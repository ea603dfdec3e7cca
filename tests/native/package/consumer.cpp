// One adapted 4 x 4 layer of rank 1 from C++: select, compose, and the backward pass of the admixture.
#include <vblora/vblora.h>

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

int main() {
  if (vbl_abi_version() != VBL_ABI_VERSION || abi_version_seen_from_c() != VBL_ABI_VERSION) {
    std::fprintf(stderr, "the headers are of ABI version %d, the library of %d\n", VBL_ABI_VERSION, vbl_abi_version());
    return 1;
  }

  // A bank of 3 vectors of length 2; A [1, 4] and B [4, 1] are 2 sub-vectors each, so there are 4 rows of 3 logits.
  const std::vector<float> bank = {1, 0, 0, 1, 2, 2};
  const std::vector<float> logits = {0, 0, -9, 5, -9, 5, -9, 1, 1, 3, 3, 3};
  vbl_admixture admixture = {};
  admixture.rows = 4;
  admixture.num_vectors = 3;
  admixture.vector_length = 2;
  admixture.topk = 2;
  admixture.slots = nullptr;  // row n is packed sub-vector n: with rank 1, B transposed has the order of B

  vbl_stream *stream = nullptr;
  TRY(vbl_stream_create(VBL_DEVICE_CPU, 0, &stream));

  std::vector<int32_t> indices(8);
  std::vector<float> weights(8), packed(8);
  int64_t bad_row = -1;
  TRY(vbl_select(stream, &admixture, logits.data(), indices.data(), weights.data(), &bad_row));
  TRY(vbl_compose(stream, &admixture, bank.data(), indices.data(), weights.data(), packed.data(), VBL_FLOAT32));
  std::printf("A  = %g %g %g %g\nBt = %g %g %g %g\n", packed[0], packed[1], packed[2], packed[3], packed[4], packed[5],
              packed[6], packed[7]);

  // Whoever runs the model returns the gradients of A and Bt in the same places.
  const std::vector<float> dpacked = {1, 0, 1, 0, 1, 0, 1, 0};
  std::vector<float> dlogits(8), dbank(6);
  const int64_t bytes = vbl_admixture_backward_scratch_bytes(stream, &admixture);
  void *scratch = nullptr;
  TRY(vbl_malloc(VBL_DEVICE_CPU, bytes, &scratch));
  TRY(vbl_admixture_backward(stream, &admixture, bank.data(), indices.data(), weights.data(), dpacked.data(), dlogits.data(),
                             dbank.data(), scratch, bytes));
  TRY(vbl_free(VBL_DEVICE_CPU, scratch));
  TRY(vbl_stream_destroy(stream));

  // By hand: every row mixes two vectors of equal logits, so with weights of a half; ties go to the lower index.
  const float expected_packed[] = {0.5f, 0.5f, 1.5f, 1, 1, 1.5f, 0.5f, 0.5f};
  const float expected_dlogits[] = {0.25f, -0.25f, -0.25f, 0.25f, -0.5f, 0.5f, 0.25f, -0.25f};
  const float expected_dbank[] = {1.5f, 0, 1.5f, 0, 1, 0};
  bool right = bad_row == -1;
  for (int i = 0; i < 8; ++i)
    right = right && std::fabs(packed[i] - expected_packed[i]) < 1e-6f && std::fabs(dlogits[i] - expected_dlogits[i]) < 1e-6f;
  for (int i = 0; i < 6; ++i) right = right && std::fabs(dbank[i] - expected_dbank[i]) < 1e-6f;
  std::printf("%s\n", right ? "as expected" : "not as expected");
  return right ? 0 : 1;
}
