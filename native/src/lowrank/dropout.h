// Dropout's random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011), keyed as vblora/lowrank.h says. Plain inline arithmetic, the same on every device.
#pragma once
#include <cstdint>

#if defined(__CUDACC__)
#define VBL_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define VBL_HOST_DEVICE inline __attribute__((always_inline))
#endif

namespace vbl {

// One counter at a time. A vector of several takes the same two members.
struct PhiloxLane {
  using Word = uint64_t;
  // The product of a's low 32 bits and b.
  static VBL_HOST_DEVICE Word multiply_low(Word a, uint32_t b) { return (a & 0xFFFFFFFFu) * b; }
};

// c = Philox4x32-10(c, key) in the low 32 bits of each c; the high bits may hold anything before and after.
template <typename Lane>
VBL_HOST_DEVICE void philox4x32_10(typename Lane::Word (&c)[4], uint32_t k0, uint32_t k1) {
  for (int round = 0; round < 10; ++round) {
    const typename Lane::Word left = Lane::multiply_low(c[0], 0xD2511F53u);
    const typename Lane::Word right = Lane::multiply_low(c[2], 0xCD9E8D57u);
    c[0] = (right >> 32) ^ c[1] ^ k0;
    c[1] = right;
    c[2] = (left >> 32) ^ c[3] ^ k1;
    c[3] = left;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
}

// One module's dropout in one micro-batch.
struct Dropout {
  uint64_t seed;
  uint32_t step, micro_batch, module;
  uint32_t threshold;  // round(dropout · 2^32): an element is kept if its word is not below
  float kept;          // 1 / (1 - dropout)
};

// c = the words (in the low 32 bits) of elements 4 · block .. 4 · block + 3.
template <typename Lane>
VBL_HOST_DEVICE void dropout_words(const Dropout &d, const typename Lane::Word &block, typename Lane::Word (&c)[4]) {
  const typename Lane::Word zero{};
  c[0] = block;
  c[1] = (block >> 32) | (d.micro_batch << 16);
  c[2] = zero + d.module;
  c[3] = zero + d.step;
  philox4x32_10<Lane>(c, static_cast<uint32_t>(d.seed), static_cast<uint32_t>(d.seed >> 32));
}

}  // namespace vbl
