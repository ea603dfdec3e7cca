// The installed package from C++: two vectors of a bank mixed into one sub-vector, on the CPU.
#include <vblora/vblora.h>

#include <cstdint>
#include <cstdio>
#include <vector>

#define TRY(call)                                                \
  do {                                                           \
    if ((call) != VBL_OK) {                                      \
      std::fprintf(stderr, "%s: %s\n", #call, vbl_last_error()); \
      return 1;                                                  \
    }                                                            \
  } while (0)

int main() {
  if (vbl_abi_version() != VBL_ABI_VERSION) {
    std::fprintf(stderr, "the headers are of ABI version %d, the library of %d\n", VBL_ABI_VERSION, vbl_abi_version());
    return 1;
  }
  vbl_admixture admixture = {};
  admixture.rows = 1;
  admixture.num_vectors = 3;
  admixture.vector_length = 2;
  admixture.topk = 2;
  const std::vector<float> bank = {1, 0, 0, 1, 2, 2}, logits = {5, -9, 5};
  std::vector<int32_t> indices(2);
  std::vector<float> weights(2), packed(2);
  int64_t bad_row = 0;

  vbl_stream *stream = nullptr;
  TRY(vbl_stream_create(VBL_DEVICE_CPU, 0, &stream));
  TRY(vbl_select(stream, &admixture, logits.data(), indices.data(), weights.data(), &bad_row));
  TRY(vbl_compose(stream, &admixture, bank.data(), indices.data(), weights.data(), packed.data(), VBL_FLOAT32));
  TRY(vbl_stream_destroy(stream));

  // The mean of the first vector and the last, whose logits are equal.
  std::printf("%g %g\n", packed[0], packed[1]);
  return packed == std::vector<float>{1.5f, 1} && bad_row == -1 ? 0 : 1;
}
