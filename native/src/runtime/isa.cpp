#include "runtime/isa.h"

#include <cstdlib>
#include <cstring>

#include "vblora/runtime.h"

namespace vbl {
namespace {

Isa widest() {
#if defined(VBL_X86_ISAS)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw"))
    return Isa::avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c"))
    return Isa::avx2;
#endif
  return Isa::generic;
}

Isa chosen() {
  const Isa best = widest();
  const char *wanted = std::getenv("VBLORA_CPU_ISA");
  if (wanted == nullptr) return best;
  Isa isa = best;
  if (std::strcmp(wanted, "generic") == 0) isa = Isa::generic;
  if (std::strcmp(wanted, "avx2") == 0) isa = Isa::avx2;
  return isa < best ? isa : best;
}

}  // namespace

Isa cpu_isa() {
  static const Isa isa = chosen();
  return isa;
}

}  // namespace vbl

extern "C" const char *vbl_cpu_isa(void) {
  switch (vbl::cpu_isa()) {
    case vbl::Isa::avx512:
      return "avx512";
    case vbl::Isa::avx2:
      return "avx2";
    case vbl::Isa::generic:
      break;
  }
  return "generic";
}
