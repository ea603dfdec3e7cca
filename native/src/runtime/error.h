// Error reporting at the C boundary.
#pragma once
#include <cstdint>
#include <exception>
#include <new>

#include "vblora/common.h"

namespace vbl {

// Records the thread's error message (printf style) and returns the status.
__attribute__((format(printf, 2, 3))) vbl_status fail(vbl_status status, const char *format, ...);

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
#define VBL_REQUIRE(condition, ...) \
  do { \
    if (!(condition)) return ::vbl::fail(VBL_INVALID_ARGUMENT, __VA_ARGS__); \
  } while (0)

#define VBL_REQUIRE_POINTER(p) VBL_REQUIRE((p) != nullptr, "%s: " #p " must not be NULL", __func__)

// Returns early on a failed status.
#define VBL_TRY(expression) \
  do { \
    const vbl_status vbl_try_status = (expression); \
    if (vbl_try_status != VBL_OK) return vbl_try_status; \
  } while (0)
