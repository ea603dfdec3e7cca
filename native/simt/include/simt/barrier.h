// Barriers of a block, and fences.
#pragma once
#include "simt/thread.h"

namespace simt {

enum class Barrier { plain, count, conjunction, disjunction };

// Waits for all threads of the block at the same site; returns what `kind` makes of their predicates.
SIMT_API int block_sync(Barrier kind, bool predicate, Site site);

// Orders memory accesses around it, for the compiler, the CPU and ThreadSanitizer alike.
SIMT_API void fence();

}  // namespace simt

inline void __syncthreads(::simt::Site site = ::simt::Site::here()) {
  ::simt::block_sync(::simt::Barrier::plain, false, site);
}
inline int __syncthreads_count(int predicate, ::simt::Site site = ::simt::Site::here()) {
  return ::simt::block_sync(::simt::Barrier::count, predicate != 0, site);
}
inline int __syncthreads_and(int predicate, ::simt::Site site = ::simt::Site::here()) {
  return ::simt::block_sync(::simt::Barrier::conjunction, predicate != 0, site);
}
inline int __syncthreads_or(int predicate, ::simt::Site site = ::simt::Site::here()) {
  return ::simt::block_sync(::simt::Barrier::disjunction, predicate != 0, site);
}

inline void __threadfence_block() { ::simt::fence(); }
inline void __threadfence() { ::simt::fence(); }
inline void __threadfence_system() { ::simt::fence(); }
