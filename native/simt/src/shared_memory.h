// A block's shared memory, which holds no zeros that a kernel could come to rely on.
#pragma once
#include <cstddef>

#include "random.h"

namespace simt {

constexpr size_t kSharedBytes = 48 * 1024;        // a block's without asking
constexpr size_t kSharedBytesOptIn = 227 * 1024;  // what cudaFuncSetAttribute may raise it to

// Fills memory with what no kernel expects: all ones for seed 0 (NaN, -1), else 4096 random bytes again and again.
void poison(void *memory, size_t bytes, uint64_t seed, Random &random);

// The thread-local variables, of this OS thread, of the library or program that holds the kernel.
struct ThreadLocals {
  char *begin = nullptr;
  size_t bytes = 0;
};
ThreadLocals thread_locals_of(const void *kernel);

// Dynamic shared memory, of exactly the size asked for.
class DynamicShared {
 public:
  DynamicShared() = default;
  DynamicShared(const DynamicShared &) = delete;
  DynamicShared &operator=(const DynamicShared &) = delete;
  ~DynamicShared();
  // Throws std::bad_alloc.
  void resize(size_t bytes);
  void *data() const { return data_; }

 private:
  void release();

  void *data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace simt
