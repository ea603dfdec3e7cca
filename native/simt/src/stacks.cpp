#include "stacks.h"

#include <sys/mman.h>

#include <new>

namespace simt {
namespace {

constexpr size_t kGuard = 4096;
constexpr size_t kPerMapping = 32;
constexpr size_t kMappingBytes = kPerMapping * (Stacks::kBytes + kGuard);

}  // namespace

Stacks::~Stacks() {
  for (char *mapping : mappings_) munmap(mapping, kMappingBytes);
}

void Stacks::grow() {
  mappings_.reserve(mappings_.size() + 1);
  void *mapping =
      mmap(nullptr, kMappingBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) throw std::bad_alloc();
  char *low = static_cast<char *>(mapping);
  mappings_.push_back(low);
  for (size_t i = kPerMapping; i-- > 0;) {
    char *guard = low + i * (kBytes + kGuard);
    mprotect(guard, kGuard, PROT_NONE);
    free_.push_back(guard + kGuard);
  }
}

char *Stacks::take() {
  if (free_.empty()) grow();
  char *stack = free_.back();
  free_.pop_back();
  return stack;
}

void Stacks::give_back(char *stack) { free_.push_back(stack); }

}  // namespace simt
