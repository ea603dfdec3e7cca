// Stacks for fibers.
#pragma once
#include <cstddef>
#include <vector>

namespace simt {

class Stacks {
 public:
  static constexpr size_t kBytes = 256 * 1024;

  Stacks() = default;
  Stacks(const Stacks &) = delete;
  Stacks &operator=(const Stacks &) = delete;
  ~Stacks();

  // The low end of kBytes of memory, below it a page that faults. Throws std::bad_alloc.
  char *take();
  // For a next take().
  void give_back(char *stack);

 private:
  void grow();

  std::vector<char *> free_, mappings_;
};

}  // namespace simt
