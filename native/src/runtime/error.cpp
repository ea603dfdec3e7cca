#include "runtime/error.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace vbl {
namespace {
thread_local char last_error[1024] = "";
}

vbl_status fail(vbl_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(last_error, sizeof last_error, format, arguments);
  va_end(arguments);
  return status;
}

vbl_status fail_null(const char *op, const char *names, int index) {
  for (; index > 0; --index) {
    names += std::strcspn(names, ",");
    names += std::strspn(names, ", ");
  }
  return fail(VBL_INVALID_ARGUMENT, "%s: %.*s must not be NULL", op, static_cast<int>(std::strcspn(names, ",")), names);
}

}  // namespace vbl

extern "C" int32_t vbl_abi_version(void) { return VBL_ABI_VERSION; }

extern "C" const char *vbl_last_error(void) { return vbl::last_error; }
