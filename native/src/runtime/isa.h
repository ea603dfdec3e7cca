// Run-time choice among the instruction sets that *.simd.cpp files are compiled for.
//
// A file src/<family>/<op>.simd.h, and no other, declares inner loops with
//     VBL_SIMD_FUNCTION(void, scale, (int64_t n, float a, float *x))
// src/<family>/<op>.simd.cpp defines them once, inside namespace vbl::VBL_ISA { }, and callers write
//     VBL_SIMD(scale)(n, a, x);
// Files *.simd.cpp include nothing with non-inline or template functions that others also compile (no standard
// containers, no <algorithm>): the linker could keep the copy compiled for the wider instruction set.
#pragma once
#include <cstdint>

namespace vbl {
enum class Isa { generic, avx2, avx512 };

// The widest instruction set of this machine, or the lower one that VBLORA_CPU_ISA names.
Isa cpu_isa();
}  // namespace vbl

#if defined(VBL_X86_ISAS)  // VbloraCompiler.cmake
#define VBL_SIMD_FUNCTION(result, name, parameters) \
  namespace vbl {                                   \
  namespace generic {                               \
  result name parameters;                           \
  }                                                 \
  namespace avx2 {                                  \
  result name parameters;                           \
  }                                                 \
  namespace avx512 {                                \
  result name parameters;                           \
  }                                                 \
  }
#define VBL_SIMD(name)                                          \
  (::vbl::cpu_isa() == ::vbl::Isa::avx512 ? ::vbl::avx512::name \
   : ::vbl::cpu_isa() == ::vbl::Isa::avx2 ? ::vbl::avx2::name   \
                                          : ::vbl::generic::name)
#else
#define VBL_SIMD_FUNCTION(result, name, parameters) \
  namespace vbl {                                   \
  namespace generic {                               \
  result name parameters;                           \
  }                                                 \
  }
#define VBL_SIMD(name) (::vbl::generic::name)
#endif
