// What sanitizers must be told about fibers. This library is never instrumented itself; whether the process runs under
// AddressSanitizer or ThreadSanitizer shows in these weak symbols.
#pragma once
#include <cstddef>

#define SIMT_WEAK __attribute__((weak))

extern "C" {
SIMT_WEAK void __asan_unpoison_memory_region(const volatile void *address, size_t bytes);
SIMT_WEAK void __sanitizer_start_switch_fiber(void **fake_stack, const void *bottom, size_t bytes);
SIMT_WEAK void __sanitizer_finish_switch_fiber(void *fake_stack, const void **bottom, size_t *bytes);
SIMT_WEAK void __sanitizer_set_death_callback(void (*callback)(void));

SIMT_WEAK void *__tsan_get_current_fiber(void);
SIMT_WEAK void *__tsan_create_fiber(unsigned flags);
SIMT_WEAK void __tsan_destroy_fiber(void *fiber);
SIMT_WEAK void __tsan_switch_to_fiber(void *fiber, unsigned flags);
SIMT_WEAK void __tsan_set_fiber_name(void *fiber, const char *name);
SIMT_WEAK void __tsan_acquire(void *address);
SIMT_WEAK void __tsan_release(void *address);
}

namespace simt::sanitizer {

inline bool address() { return &__sanitizer_start_switch_fiber != nullptr; }
inline bool thread() { return &__tsan_create_fiber != nullptr; }

// Everything before a release of a tag happens before everything after a later acquire of it.
inline void acquire(void *tag) {
  if (thread()) __tsan_acquire(tag);
}
inline void release(void *tag) {
  if (thread()) __tsan_release(tag);
}

}  // namespace simt::sanitizer
