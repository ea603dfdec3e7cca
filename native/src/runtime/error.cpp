#include "runtime/error.h"

#include <cstdarg>
#include <cstdio>

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

}  // namespace vbl

extern "C" int32_t vbl_abi_version(void) { return VBL_ABI_VERSION; }

extern "C" const char *vbl_last_error(void) { return vbl::last_error; }
