# CUDA is compiled in where a GPU is found, and an nvcc that works, of CUDA 12.0 or later.
#   VBLORA_CUDA=AUTO  use it if both are there, and say so if not (default); without a GPU, too, if architectures are
#                     named, by CUDAARCHS or what follows
#   VBLORA_CUDA=ON    fail without it
#   VBLORA_CUDA=OFF   do without
#   VBLORA_SIMT=ON    for tests: the CUDA sources compiled with the C++ compiler for the SIMT host (native/simt), which
#                     runs them on the CPU as CUDA device 0; nvcc is not used
#   CMAKE_CUDA_ARCHITECTURES   the devices to compile for; by default those of CUDAARCHS or this machine's
#                              (VbloraCudaArchitectures.cmake)
#   VBLORA_CUDA_RELEASE=ON     compiles for all that a release supports, and PTX for later ones

include(VbloraCudaArchitectures)

# Sets `why_no_nvcc` in the caller's scope: why CMake found no nvcc that works; and `nvcc_said`: indented lines with the
# last that nvcc says when it is to make a program, or CMake's check of it where it makes that.
function(vblora_why_no_nvcc)
  set(why_no_nvcc "no nvcc was found" PARENT_SCOPE)
  set(nvcc_said "" PARENT_SCOPE)
  get_filename_component(nvcc "$ENV{CUDACXX}" PROGRAM PROGRAM_ARGS arguments)
  if("$ENV{CUDACXX}" STREQUAL "")
    return()
  elseif(NOT nvcc)
    set(why_no_nvcc "no nvcc was found: CUDACXX is '$ENV{CUDACXX}', which is no program" PARENT_SCOPE)
    return()
  endif()
  separate_arguments(arguments UNIX_COMMAND "${arguments}")
  if(DEFINED ENV{CUDAHOSTCXX})
    list(APPEND arguments -ccbin $ENV{CUDAHOSTCXX})
  endif()
  set(probe ${PROJECT_BINARY_DIR}/CMakeFiles/nvcc-probe)
  file(WRITE ${probe}.cu "int main() { return 0; }\n")
  execute_process(COMMAND ${nvcc} ${arguments} ${probe}.cu -o ${probe}
    OUTPUT_VARIABLE said ERROR_VARIABLE said RESULT_VARIABLE result)
  if(result STREQUAL "0")
    string(REGEX REPLACE "\nCall Stack.*" "" said "${_cl_output}")  # check_language's
  endif()
  string(STRIP "${said}" said)
  string(REGEX REPLACE "\n[ \n]*\n" "\n" said "${said}")
  string(REGEX MATCH "([^\n]*\n)?([^\n]*\n)?([^\n]*\n)?([^\n]*\n)?([^\n]*\n)?[^\n]*$" said "${said}")
  string(REPLACE "\n" "\nvblora:   " said "\n${said}")
  set(why_no_nvcc "${nvcc} does not work" PARENT_SCOPE)
  set(nvcc_said "${said}" PARENT_SCOPE)
endfunction()

option(VBLORA_SIMT "run the CUDA sources on the CPU, for tests" OFF)
option(VBLORA_CUDA_RELEASE "compile for all CUDA architectures of a release" OFF)
if(VBLORA_SIMT)
  set(VBLORA_CUDA OFF)
  set(SIMT_TESTS ${VBLORA_TESTS})
  # Where libraries and programs find each other, in the build folder and in a bundle that tests make of it.
  set(CMAKE_BUILD_WITH_INSTALL_RPATH ON)
  set(CMAKE_INSTALL_RPATH "$ORIGIN;$ORIGIN/../lib;$ORIGIN/../../lib;$ORIGIN/../../lib/native")
  add_subdirectory(${PROJECT_SOURCE_DIR}/simt ${PROJECT_BINARY_DIR}/simt)
  set(VBLORA_CUDA_TEXT "the SIMT host, which runs kernels on the CPU, for tests")
else()
  set(VBLORA_CUDA_TEXT "none")
endif()

set(VBLORA_CUDA AUTO CACHE STRING "AUTO, ON or OFF")
set_property(CACHE VBLORA_CUDA PROPERTY STRINGS AUTO ON OFF)

set(VBLORA_CUDA_WANTED ON)
if(VBLORA_CUDA STREQUAL "OFF")
  set(VBLORA_CUDA_WANTED OFF)
else()
  if(NOT DEFINED CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
    find_program(VBLORA_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
    if(VBLORA_NVCC)
      # Not CMAKE_CUDA_COMPILER: that would skip the probe, and a broken nvcc would be fatal instead of a fall-back.
      set(ENV{CUDACXX} ${VBLORA_NVCC})
    endif()
  endif()
  if(NOT CMAKE_CUDA_COMPILER)
    unset(CMAKE_CUDA_COMPILER CACHE)  # a toolkit installed since the last configuration is to be found
  endif()
  if(VBLORA_CUDA STREQUAL "AUTO" AND NOT VBLORA_CUDA_RELEASE AND NOT DEFINED CMAKE_CUDA_ARCHITECTURES
      AND "$ENV{CUDAARCHS}" STREQUAL "")
    vblora_gpu_capabilities()
    get_filename_component(nvcc "$ENV{CUDACXX}" PROGRAM)
    if(capabilities STREQUAL "" AND (CMAKE_CUDA_COMPILER OR nvcc))
      set(VBLORA_CUDA_WANTED OFF)
      message(NOTICE
        "vblora: nvcc was found, but no GPU: CUDA kernels are left out; CUDAARCHS=90 in the environment builds them")
    endif()
  endif()
endif()
if(VBLORA_CUDA_WANTED)
  include(CheckLanguage)
  check_language(CUDA)
  if(NOT CMAKE_CUDA_COMPILER)
    vblora_why_no_nvcc()
  endif()
  if(CMAKE_CUDA_COMPILER)
    execute_process(COMMAND ${CMAKE_CUDA_COMPILER} --version OUTPUT_VARIABLE said ERROR_QUIET)
    if(said MATCHES "release ([0-9.]+)" AND CMAKE_MATCH_1 VERSION_LESS 12)  # graphs are instantiated by another function
      set(why_no_nvcc "${CMAKE_CUDA_COMPILER} is of CUDA ${CMAKE_MATCH_1}, and 12.0 or later is needed")
      unset(CMAKE_CUDA_COMPILER)
      unset(CMAKE_CUDA_COMPILER CACHE)
    endif()
  endif()
  if(CMAKE_CUDA_COMPILER)
    set(why "")
    if(VBLORA_CUDA_RELEASE)
      set(CMAKE_CUDA_ARCHITECTURES 75-real 80-real 86-real 89-real 90-real 100-real 120)
    elseif(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
      vblora_choose_cuda_architectures(${CMAKE_CUDA_COMPILER})
      set(CMAKE_CUDA_ARCHITECTURES ${architectures})
    endif()
    enable_language(CUDA)
    if(why)
      unset(CMAKE_CUDA_ARCHITECTURES CACHE)  # where CMake keeps those of CUDAARCHS: the next configuration chooses anew
    endif()
    set(CMAKE_CUDA_STANDARD 17)
    set(CMAKE_CUDA_STANDARD_REQUIRED ON)
    set(CMAKE_CUDA_VISIBILITY_PRESET hidden)
    set(architectures ${CMAKE_CUDA_ARCHITECTURES})
    if(architectures STREQUAL "native" AND CMAKE_CUDA_ARCHITECTURES_NATIVE)
      set(architectures ${CMAKE_CUDA_ARCHITECTURES_NATIVE})
    endif()
    list(JOIN architectures ", " VBLORA_CUDA_ARCHITECTURES)
    set(VBLORA_CUDA_TEXT "CUDA ${CMAKE_CUDA_COMPILER_VERSION} for architectures ${VBLORA_CUDA_ARCHITECTURES}")
    message(NOTICE
      "vblora: CUDA is compiled in with ${CMAKE_CUDA_COMPILER} for architectures ${VBLORA_CUDA_ARCHITECTURES}${why}")
  elseif(VBLORA_CUDA STREQUAL "ON")
    message(FATAL_ERROR "VBLORA_CUDA=ON, but ${why_no_nvcc}. Install the CUDA toolkit or set CUDACXX.${nvcc_said}")
  else()
    message(NOTICE "vblora: ${why_no_nvcc}: CPU only${nvcc_said}")
  endif()
endif()

# For those who pack the library up.
file(WRITE ${PROJECT_BINARY_DIR}/cuda.txt "${VBLORA_CUDA_TEXT}\n")

function(vblora_add_cuda_sources target)
  if(VBLORA_SIMT)
    simt_add_cuda_sources(${target} ${ARGN})
    target_compile_definitions(${target} PRIVATE VBL_WITH_CUDA VBL_CUDA_ARCHITECTURES="simt")
  elseif(CMAKE_CUDA_COMPILER AND VBLORA_CUDA_WANTED)  # the cache may know a compiler from an earlier configuration
    target_sources(${target} PRIVATE ${ARGN})
    target_compile_definitions(${target} PRIVATE VBL_WITH_CUDA VBL_CUDA_ARCHITECTURES="${VBLORA_CUDA_ARCHITECTURES}")
    # Without fused multiply-adds that the code does not ask for, as on the CPU: the same expression, the same bits.
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:-lineinfo -fmad=false>)
    if(VBLORA_CUDA_RELEASE)  # line numbers for seven architectures take more room than the kernels
      target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:-Xfatbin=-compress-all>)
    endif()
    set_target_properties(${target} PROPERTIES CUDA_RUNTIME_LIBRARY Static)
  endif()
endfunction()
