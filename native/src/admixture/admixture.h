// What the ops on an admixture share: argument checks, and the report of bad rows.
#pragma once
#include <atomic>
#include <cstdint>

#include "runtime/stream.h"
#include "vblora/admixture.h"

namespace vbl {

// Checks an admixture's sizes; op names the caller in the message.
vbl_status check_admixture(const char *op, const vbl_admixture *admixture);

// The same for a scratch query, which is given a stream as well.
vbl_status check_stream_and_admixture(const char *op, const vbl_stream *stream, const vbl_admixture *admixture);

// Checks that indices [rows, topk] lie in 0 .. num_vectors-1, so that a bad one is an error and not a wild read.
vbl_status check_indices(const char *op, vbl_stream *stream, const vbl_admixture &admixture, const int32_t *indices);

// Checks that slots, unless NULL, lie in 0 .. rows-1.
vbl_status check_slots(const char *op, vbl_stream *stream, const vbl_admixture &admixture);

// The lowest of the numbers noted, from any number of threads; -1 if there is none.
class Lowest {
 public:
  void note(int64_t number) {
    int64_t seen = lowest_.load(std::memory_order_relaxed);
    while (number < seen && !lowest_.compare_exchange_weak(seen, number, std::memory_order_relaxed)) {
    }
  }
  int64_t get() const {
    const int64_t lowest = lowest_.load(std::memory_order_relaxed);
    return lowest == INT64_MAX ? -1 : lowest;
  }

 private:
  std::atomic<int64_t> lowest_{INT64_MAX};
};

}  // namespace vbl
