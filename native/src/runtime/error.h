// Error reporting at the C boundary.
#pragma once
#include <cstdint>
#include <exception>
#include <initializer_list>
#include <new>

#include "vblora/common.h"

namespace vbl {

// Records the thread's error message (printf style) and returns the status.
__attribute__((format(printf, 2, 3))) vbl_status fail(vbl_status status, const char *format, ...);

// Fails for argument number `index` of those whose names are separated by commas.
vbl_status fail_null(const char *op, const char *names, int index);

// Fails for the first NULL of the pointers. Inline, as ops check some ten pointers at every call.
inline vbl_status check_not_null(const char *op, const char *names, std::initializer_list<const void *> pointers) {
  int index = 0;
  for (const void *pointer : pointers) {
    if (pointer == nullptr) return fail_null(op, names, index);
    ++index;
  }
  return VBL_OK;
}

// Runs an entry point's body; whatever it throws becomes a status.
template <typename Body>
vbl_status guarded(Body &&body) noexcept {
  try {
    return body();
  } catch (const std::bad_alloc &) {
    return fail(VBL_OUT_OF_MEMORY, "out of host memory");
  } catch (const std::exception &e) {
    return fail(VBL_INTERNAL, "internal error: %s", e.what());
  } catch (...) {
    return fail(VBL_INTERNAL, "internal error of unknown type");
  }
}

}  // namespace vbl

// Checks an argument: VBL_REQUIRE(n >= 0, "n must not be negative, found %lld", (long long)n);
#define VBL_REQUIRE(condition, ...)                                          \
  do {                                                                       \
    if (!(condition)) return ::vbl::fail(VBL_INVALID_ARGUMENT, __VA_ARGS__); \
  } while (0)

// Checks pointers in the body of an op, or of a function that checks the arguments of `op`.
#define VBL_REQUIRE_NOT_NULL(...) VBL_TRY(::vbl::check_not_null(__func__, #__VA_ARGS__, {__VA_ARGS__}))
#define VBL_REQUIRE_NOT_NULL_OF(op, ...) VBL_TRY(::vbl::check_not_null(op, #__VA_ARGS__, {__VA_ARGS__}))

// Returns early on a failed status.
#define VBL_TRY(expression)                              \
  do {                                                   \
    const vbl_status vbl_try_status = (expression);      \
    if (vbl_try_status != VBL_OK) return vbl_try_status; \
  } while (0)
