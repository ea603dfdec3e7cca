# CUDA is compiled in where an nvcc that works is found.
#   VBLORA_CUDA=AUTO  use it if it is there, and say so if it is not (default)
#   VBLORA_CUDA=ON    fail without it
#   VBLORA_CUDA=OFF   do without

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
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80)
  endif()
  if(NOT CMAKE_CUDA_COMPILER)
    unset(CMAKE_CUDA_COMPILER CACHE)  # a toolkit installed since the last configuration is to be found
  endif()
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    set(CMAKE_CUDA_STANDARD 17)
    set(CMAKE_CUDA_STANDARD_REQUIRED ON)
    set(CMAKE_CUDA_VISIBILITY_PRESET hidden)
    message(NOTICE "vblora: CUDA is compiled in with ${CMAKE_CUDA_COMPILER} for architectures ${CMAKE_CUDA_ARCHITECTURES}")
  elseif(VBLORA_CUDA STREQUAL "ON")
    message(FATAL_ERROR "VBLORA_CUDA=ON, but no working nvcc was found. Install the CUDA toolkit or set CUDACXX.")
  else()
    message(NOTICE "vblora: no working nvcc was found: CPU only. Nothing is lost: this version has no CUDA kernels yet.")
  endif()
endif()

function(vblora_add_cuda_sources target)
  if(CMAKE_CUDA_COMPILER AND NOT VBLORA_CUDA STREQUAL "OFF")  # the cache may know a compiler from an earlier configuration
    target_sources(${target} PRIVATE ${ARGN})
    target_compile_definitions(${target} PRIVATE VBL_WITH_CUDA)
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:-lineinfo>)
    set_target_properties(${target} PROPERTIES CUDA_RUNTIME_LIBRARY Static)
  endif()
endfunction()
