// Dropout's random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011), keyed as vblora/lowrank.h says. Plain inline arithmetic, the same on every device.
#pragma once
#include <cstdint>

#include "runtime/host_device.h"
#include "vblora/step.h"

namespace vbl {

// One counter at a time. A vector of several takes the same two members.
struct PhiloxLane {
  using Word = uint64_t;
  // The product of a's low 32 bits and b.
  static VBL_HOST_DEVICE Word multiply_low(Word a, uint32_t b) { return (a & 0xFFFFFFFFu) * b; }
};

// c[.][j] = Philox4x32-10(c[.][j], key) for N counters side by side (a single one would wait for its own products), in
// the low 32 bits of each c; the high bits may hold anything before and after.
template <typename Lane, int N>
VBL_HOST_DEVICE void philox4x32_10(typename Lane::Word (&c)[4][N], uint32_t k0, uint32_t k1) {
  for (int round = 0; round < 10; ++round) {
    typename Lane::Word left[N], right[N];
    for (int j = 0; j < N; ++j) left[j] = Lane::multiply_low(c[0][j], 0xD2511F53u);
    for (int j = 0; j < N; ++j) right[j] = Lane::multiply_low(c[2][j], 0xCD9E8D57u);
    for (int j = 0; j < N; ++j) c[0][j] = (right[j] >> 32) ^ c[1][j] ^ k0;
    for (int j = 0; j < N; ++j) c[2][j] = (left[j] >> 32) ^ c[3][j] ^ k1;
    for (int j = 0; j < N; ++j) c[1][j] = right[j];
    for (int j = 0; j < N; ++j) c[3][j] = left[j];
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
  uint64_t first;      // element of the batch that element 0 is
};

// Takes the key of the step that is drawn for.
VBL_HOST_DEVICE void set_key(Dropout &d, const vbl_step &step) {
  d.seed = step.seed;
  d.step = static_cast<uint32_t>(step.step);
  d.micro_batch = static_cast<uint32_t>(step.micro_batch);
}

// c[.][j] = the words (in the low 32 bits) of elements 4 · block .. 4 · block + 3, where c[0][j] holds the block.
template <typename Lane, int N>
VBL_HOST_DEVICE void dropout_words(const Dropout &d, typename Lane::Word (&c)[4][N]) {
  const typename Lane::Word zero{};
  for (int j = 0; j < N; ++j) {
    c[1][j] = (c[0][j] >> 32) | (d.micro_batch << 16);
    c[2][j] = zero + d.module;
    c[3][j] = zero + d.step;
  }
  philox4x32_10<Lane>(c, static_cast<uint32_t>(d.seed), static_cast<uint32_t>(d.seed >> 32));
}

}  // namespace vbl
