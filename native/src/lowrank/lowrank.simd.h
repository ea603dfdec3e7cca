// Inner loops of the low-rank products. Each element is summed in an order that depends on the row length and the
// instruction set only, never on how tokens (lowrank_accumulate: chunks of them) or columns are cut into calls.
#pragma once
#include <cstdint>

#include "lowrank/dropout.h"
#include "runtime/isa.h"

// Tokens that lowrank_project and lowrank_expand take at a time; what is left over goes one by one, more slowly.
constexpr int64_t kLowrankTokens = 4;

// Columns that one call of lowrank_accumulate takes at most, and tokens after which it rounds its sums to da.
constexpr int64_t kLowrankColumns = 256, kLowrankChunk = 32;

// mask[i] = 0 or dropout.kept for elements first .. first + n - 1.
VBL_SIMD_FUNCTION(void, dropout_mask, (const vbl::Dropout &dropout, uint64_t first, int64_t n, float *mask))

// p [tokens, r] = scaling · x~ At for rows x [tokens, n], ld elements apart, of which the first is row number `token` (of
// dropout); dropout may be NULL.
VBL_SIMD_FUNCTION(void, lowrank_project,
                  (int64_t tokens, int64_t n, int64_t ld, int32_t r, const float *x, const float *a, float scaling,
                   const vbl::Dropout *dropout, int64_t token, float *p))

// y [tokens, n] += scaling · mask · (p Bt); ld, dropout and token as above.
VBL_SIMD_FUNCTION(void, lowrank_expand,
                  (int64_t tokens, int64_t n, int64_t ld, int32_t r, const float *p, const float *bt, float scaling,
                   const vbl::Dropout *dropout, int64_t token, float *y))

// da [r, n] += scaling · pt x~ in columns begin .. end - 1; ld, dropout and token as above. Tokens cut at multiples of
// kLowrankChunk give the same bits.
VBL_SIMD_FUNCTION(void, lowrank_accumulate,
                  (int64_t tokens, int64_t n, int64_t ld, int32_t r, int64_t begin, int64_t end, const float *p,
                   const float *x, float scaling, const vbl::Dropout *dropout, int64_t token, float *da))
