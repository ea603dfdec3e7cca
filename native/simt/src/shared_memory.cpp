#include "shared_memory.h"

#include <link.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#include "sanitizer.h"

// How compiled code finds a thread-local variable: of the module, at the offset, allocated if this thread has none yet.
struct tls_index {
  unsigned long module, offset;
};
extern "C" void *__tls_get_addr(tls_index *index);

namespace simt {

// Outside of memcpy, whose writes ThreadSanitizer would see: it keeps several times as many bytes about them, nearly all
// of them for shared memory of other kernels than the block's.
static void copy_unseen(char *to, const char *from, size_t bytes) {
  size_t i = 0;
  for (uint64_t word; i + sizeof word <= bytes; i += sizeof word) {
    __builtin_memcpy(&word, from + i, sizeof word);
    *reinterpret_cast<volatile uint64_t *>(to + i) = word;
  }
  for (; i < bytes; ++i) to[i] = static_cast<volatile const char *>(from)[i];
}

void poison(void *memory, size_t bytes, uint64_t seed, Random &random) {
  constexpr size_t kWords = 512;
  uint64_t pattern[kWords];
  for (size_t i = 0; i < kWords && i * sizeof *pattern < bytes; ++i)
    pattern[i] = seed == 0 ? ~uint64_t{0} : random.next();
  for (size_t done = 0; done < bytes; done += sizeof pattern) {
    char *const to = static_cast<char *>(memory) + done;
    const char *const from = reinterpret_cast<const char *>(pattern);
    const size_t n = bytes - done < sizeof pattern ? bytes - done : sizeof pattern;
    if (sanitizer::thread())
      copy_unseen(to, from, n);
    else
      std::memcpy(to, from, n);
  }
}

ThreadLocals thread_locals_of(const void *kernel) {
  struct Search {
    uintptr_t kernel;
    ThreadLocals found;
  } search{reinterpret_cast<uintptr_t>(kernel), {}};
  dl_iterate_phdr(
      [](dl_phdr_info *info, size_t, void *data) {
        Search &search = *static_cast<Search *>(data);
        bool holds = false;
        size_t bytes = 0;
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto &header = info->dlpi_phdr[i];
          const uintptr_t begin = info->dlpi_addr + header.p_vaddr;
          if (header.p_type == PT_LOAD && search.kernel - begin < header.p_memsz) holds = true;
          if (header.p_type == PT_TLS) bytes = header.p_memsz;
        }
        if (!holds) return 0;
        if (bytes != 0) {
          tls_index index{info->dlpi_tls_modid, 0};
          search.found = {static_cast<char *>(__tls_get_addr(&index)), bytes};
        }
        return 1;
      },
      &search);
  return search.found;
}

DynamicShared::~DynamicShared() { release(); }

// Under ThreadSanitizer the memory is mapped and unmapped, which makes its accesses forgotten; free would itself be an
// access, in a race with the block's.
void DynamicShared::resize(size_t bytes) {
  if (bytes == bytes_) return;
  release();
  if (bytes == 0) return;
  if (sanitizer::thread()) {
    void *memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    data_ = memory;
  } else if (posix_memalign(&data_, 16, bytes) != 0) {
    data_ = nullptr;
    throw std::bad_alloc();
  }
  bytes_ = bytes;
}

void DynamicShared::release() {
  if (sanitizer::thread()) {
    if (data_ != nullptr) munmap(data_, bytes_);
  } else {
    std::free(data_);
  }
  data_ = nullptr;
  bytes_ = 0;
}

}  // namespace simt
