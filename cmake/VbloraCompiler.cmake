# Compiler settings shared by the library and its tests, and the sources compiled once per instruction set.

set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O3")
if(VBLORA_SANITIZE)
  set(CMAKE_CXX_FLAGS_RELEASE "-O1")  # compiles in a third of the time
endif()

# Contraction is off so that an expression gives the same bits in every instruction set; where a fused multiply-add is
# wanted the code says so.
set(VBLORA_CXX_OPTIONS -Wall -Wextra -Wno-unknown-pragmas -ffp-contract=off -fno-math-errno -fno-trapping-math -fopenmp-simd)

option(VBLORA_X86_ISAS "compile the inner loops for AVX2 and AVX-512, too; off, a test build is quicker" ON)
if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
  set(VBLORA_X86_ISAS OFF)
endif()
if(VBLORA_X86_ISAS)
  list(APPEND VBLORA_CXX_OPTIONS -DVBL_X86_ISAS)
endif()

# vblora_compiler_options(<target> [UNWATCHED]): with UNWATCHED, AddressSanitizer and UBSan watch only what the target
# calls and its memory on the heap. That is for tests and the benchmark, whose own code took two fifths of such a build.
function(vblora_compiler_options target)
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:${VBLORA_CXX_OPTIONS}>)
  if(VBLORA_SANITIZE)
    set(watched -fsanitize=${VBLORA_SANITIZE} -fno-sanitize-recover=all)
    if("UNWATCHED" IN_LIST ARGN AND NOT VBLORA_SANITIZE MATCHES "thread")
      set(watched "")
    endif()
    target_compile_options(${target} PRIVATE
      $<$<COMPILE_LANGUAGE:CXX>:${watched} -fno-omit-frame-pointer -g1>)
    target_link_options(${target} PRIVATE -fsanitize=${VBLORA_SANITIZE})
  else()
    target_link_options(${target} PRIVATE -Wl,--exclude-libs,ALL -Wl,--no-undefined -Wl,--gc-sections
      $<$<CONFIG:Release>:-s>)
  endif()
endfunction()

function(vblora_add_simd_sources target)
  foreach(source IN LISTS ARGN)
    string(REGEX REPLACE "cpp$" "h" header ${source})
    if(NOT EXISTS ${header})
      message(FATAL_ERROR "${source} needs ${header}, which declares its functions (native/src/runtime/isa.h)")
    endif()
  endforeach()
  set(isas generic)
  set(flags_generic "")
  if(VBLORA_X86_ISAS)
    list(APPEND isas avx2 avx512)
    set(flags_avx2 -mavx2 -mfma -mf16c)
    set(flags_avx512 -mavx512f -mavx512vl -mavx512dq -mavx512bw -mavx2 -mfma -mf16c -mprefer-vector-width=512)
  endif()
  foreach(isa IN LISTS isas)
    add_library(${target}_${isa} OBJECT ${ARGN})
    vblora_compiler_options(${target}_${isa})
    target_compile_options(${target}_${isa} PRIVATE ${flags_${isa}})
    target_compile_definitions(${target}_${isa} PRIVATE VBL_ISA=${isa} VBL_ISA_${isa})
    target_include_directories(${target}_${isa} PRIVATE
      $<TARGET_PROPERTY:${target},INCLUDE_DIRECTORIES>)
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${target}_${isa}>)
  endforeach()
endfunction()
