// The scan of a row of logits for its largest.
#pragma once
#include <cstdint>

#include "admixture/topk.h"
#include "runtime/isa.h"

// Offers n logits. Their indices are index[i], or i where index is NULL; those whose bit is set in excluded, unless
// NULL, are passed over.
VBL_SIMD_FUNCTION(void, topk_scan,
                  (TopK * top, int64_t n, const float *logits, const int32_t *index, const uint64_t *excluded))
