#include "admixture/admixture.h"

namespace vbl {
namespace {

// Position of a value outside 0 .. limit-1, the lowest one; -1 if there is none.
int64_t find_outside(vbl_stream *stream, int64_t n, const int32_t *values, int32_t limit) {
  Lowest lowest;
  parallel_for(stream, n, 1 << 16, [&](int64_t begin, int64_t end) {
    uint32_t largest = 0;  // a negative value is a large one
    for (int64_t i = begin; i < end; ++i)
      largest = static_cast<uint32_t>(values[i]) > largest ? static_cast<uint32_t>(values[i]) : largest;
    if (largest < static_cast<uint32_t>(limit)) return;
    int64_t i = begin;
    while (values[i] >= 0 && values[i] < limit) ++i;
    lowest.note(i);
  });
  return lowest.get();
}

}  // namespace

vbl_status check_admixture(const char *op, const vbl_admixture *admixture) {
  VBL_REQUIRE_NOT_NULL_OF(op, admixture);
  const vbl_admixture &a = *admixture;
  VBL_REQUIRE(a.rows >= 1 && a.rows <= INT32_MAX, "%s: rows must lie in 1 .. 2147483647, found %lld", op,
              static_cast<long long>(a.rows));
  VBL_REQUIRE(a.num_vectors >= 1 && a.num_vectors <= 1 << 24, "%s: num_vectors must lie in 1 .. 16777216, found %d", op,
              a.num_vectors);
  VBL_REQUIRE(a.vector_length >= 1, "%s: vector_length must be at least 1, found %d", op, a.vector_length);
  VBL_REQUIRE(a.topk >= 1 && a.topk <= a.num_vectors, "%s: topk must lie in 1 .. num_vectors = %d, found %d", op,
              a.num_vectors, a.topk);
  return VBL_OK;
}

vbl_status check_stream_and_admixture(const char *op, const vbl_stream *stream, const vbl_admixture *admixture) {
  VBL_REQUIRE_NOT_NULL_OF(op, stream);
  return check_admixture(op, admixture);
}

vbl_status check_indices(const char *op, vbl_stream *stream, const vbl_admixture &admixture, const int32_t *indices) {
  const int64_t at = find_outside(stream, admixture.rows * admixture.topk, indices, admixture.num_vectors);
  VBL_REQUIRE(at < 0, "%s: indices must lie in 0 .. num_vectors-1 = %d, found %d in row %lld", op,
              admixture.num_vectors - 1, indices[at], static_cast<long long>(at / admixture.topk));
  return VBL_OK;
}

vbl_status check_slots(const char *op, vbl_stream *stream, const vbl_admixture &admixture) {
  if (admixture.slots == nullptr) return VBL_OK;
  const int64_t at = find_outside(stream, admixture.rows, admixture.slots, static_cast<int32_t>(admixture.rows));
  VBL_REQUIRE(at < 0, "%s: slots must lie in 0 .. rows-1 = %lld, found %d in row %lld", op,
              static_cast<long long>(admixture.rows - 1), admixture.slots[at], static_cast<long long>(at));
  return VBL_OK;
}

}  // namespace vbl
