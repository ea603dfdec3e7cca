# CUDA is compiled in where an nvcc that works is found, of CUDA 12.0 or later.
#   VBLORA_CUDA=AUTO  use it if it is there, and say so if it is not (default)
#   VBLORA_CUDA=ON    fail without it
#   VBLORA_CUDA=OFF   do without
#   VBLORA_SIMT=ON    for tests: the CUDA sources compiled with the C++ compiler for the SIMT host (native/simt), which
#                     runs them on the CPU as CUDA device 0; nvcc is not used
#   CMAKE_CUDA_ARCHITECTURES   the devices to compile for; 80 by default, which later ones take as PTX
#   VBLORA_CUDA_RELEASE=ON     compiles for all that a release supports, and PTX for later ones

option(VBLORA_SIMT "run the CUDA sources on the CPU, for tests" OFF)
option(VBLORA_CUDA_RELEASE "compile for all CUDA architectures of a release" OFF)
if(VBLORA_SIMT)
  set(VBLORA_CUDA OFF)
  set(SIMT_TESTS ${VBLORA_TESTS})
  add_subdirectory(${PROJECT_SOURCE_DIR}/simt ${PROJECT_BINARY_DIR}/simt)
  set(VBLORA_CUDA_TEXT "the SIMT host, which runs kernels on the CPU, for tests")
else()
  set(VBLORA_CUDA_TEXT "none")
endif()

set(VBLORA_CUDA AUTO CACHE STRING "AUTO, ON or OFF")
set_property(CACHE VBLORA_CUDA PROPERTY STRINGS AUTO ON OFF)

if(NOT VBLORA_CUDA STREQUAL "OFF")
  if(NOT DEFINED CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
    find_program(VBLORA_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
    if(VBLORA_NVCC)
      # Not CMAKE_CUDA_COMPILER: that would skip the probe, and a broken nvcc would be fatal instead of a fall-back.
      set(ENV{CUDACXX} ${VBLORA_NVCC})
    endif()
  endif()
  if(VBLORA_CUDA_RELEASE)
    set(CMAKE_CUDA_ARCHITECTURES 75-real 80-real 86-real 89-real 90-real 100-real 120)
  elseif(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80)
  endif()
  if(NOT CMAKE_CUDA_COMPILER)
    unset(CMAKE_CUDA_COMPILER CACHE)  # a toolkit installed since the last configuration is to be found
  endif()
  include(CheckLanguage)
  check_language(CUDA)
  set(nvcc_lacks "no working nvcc was found")
  if(CMAKE_CUDA_COMPILER)
    execute_process(COMMAND ${CMAKE_CUDA_COMPILER} --version OUTPUT_VARIABLE said ERROR_QUIET)
    if(said MATCHES "release ([0-9.]+)" AND CMAKE_MATCH_1 VERSION_LESS 12)  # graphs are instantiated by another function
      set(nvcc_lacks "${CMAKE_CUDA_COMPILER} is of CUDA ${CMAKE_MATCH_1}, and 12.0 or later is needed")
      unset(CMAKE_CUDA_COMPILER)
      unset(CMAKE_CUDA_COMPILER CACHE)
    endif()
  endif()
  if(CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    set(CMAKE_CUDA_STANDARD 17)
    set(CMAKE_CUDA_STANDARD_REQUIRED ON)
    set(CMAKE_CUDA_VISIBILITY_PRESET hidden)
    set(VBLORA_CUDA_TEXT "CUDA ${CMAKE_CUDA_COMPILER_VERSION} for architectures ${CMAKE_CUDA_ARCHITECTURES}")
    message(NOTICE "vblora: CUDA is compiled in with ${CMAKE_CUDA_COMPILER} for architectures ${CMAKE_CUDA_ARCHITECTURES}")
  elseif(VBLORA_CUDA STREQUAL "ON")
    message(FATAL_ERROR "VBLORA_CUDA=ON, but ${nvcc_lacks}. Install the CUDA toolkit or set CUDACXX.")
  else()
    message(NOTICE "vblora: ${nvcc_lacks}: CPU only")
  endif()
endif()

# For those who pack the library up.
file(WRITE ${PROJECT_BINARY_DIR}/cuda.txt "${VBLORA_CUDA_TEXT}\n")

function(vblora_add_cuda_sources target)
  if(VBLORA_SIMT)
    simt_add_cuda_sources(${target} ${ARGN})
    target_compile_definitions(${target} PRIVATE VBL_WITH_CUDA VBL_CUDA_ARCHITECTURES="none")
  elseif(CMAKE_CUDA_COMPILER AND NOT VBLORA_CUDA STREQUAL "OFF")  # the cache may know a compiler from an earlier configuration
    target_sources(${target} PRIVATE ${ARGN})
    string(JOIN ", " architectures ${CMAKE_CUDA_ARCHITECTURES})
    target_compile_definitions(${target} PRIVATE VBL_WITH_CUDA VBL_CUDA_ARCHITECTURES="${architectures}")
    # Without fused multiply-adds that the code does not ask for, as on the CPU: the same expression, the same bits.
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:-lineinfo -fmad=false>)
    if(VBLORA_CUDA_RELEASE)  # line numbers for seven architectures take more room than the kernels
      target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:-Xfatbin=-compress-all>)
    endif()
    set_target_properties(${target} PROPERTIES CUDA_RUNTIME_LIBRARY Static)
  endif()
endfunction()
