# What CMake finds of CUDA, with stand-ins for nvcc and nvidia-smi, and what it says of it.
#   MODULES  the folder of VbloraCuda.cmake    FOLDER  for what is made    GENERATOR  CMake's
cmake_minimum_required(VERSION 3.22)
include(${MODULES}/VbloraCudaArchitectures.cmake)
file(REMOVE_RECURSE ${FOLDER})
file(MAKE_DIRECTORY ${FOLDER})

# Writes a program of the shell to FOLDER.
function(program name script)
  file(WRITE ${FOLDER}/${name} "#!/bin/sh\n${script}\n")
  file(CHMOD ${FOLDER}/${name} PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)
endfunction()

# Configures with an nvcc, and further options behind the words that are to be said. code: 0 or 1.
function(configure nvcc code expected)
  file(REMOVE_RECURSE ${FOLDER}/build)
  set(ENV{CUDACXX} ${nvcc})
  execute_process(COMMAND ${CMAKE_COMMAND} -G ${GENERATOR} -S ${CMAKE_CURRENT_LIST_DIR} -B ${FOLDER}/build
    --log-level=NOTICE -DMODULES=${MODULES} ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE said ERROR_VARIABLE said)
  string(REGEX REPLACE "[ \n]+" " " words "${said}")  # CMake wraps errors
  string(FIND "${words}" "${expected}" place)
  if(NOT result EQUAL code OR place EQUAL -1)
    message(FATAL_ERROR "${nvcc} ${ARGN}: ${result}, expected ${code} and '${expected}':\n${said}")
  endif()
endfunction()

# With a GPU; without one nothing is asked of nvcc, unless architectures are named.
set(ENV{CUDAARCHS} "")
set(path "$ENV{PATH}")
set(ENV{PATH} ${FOLDER}:${path})
program(nvidia-smi "echo 9.0")
program(too-new "i=0; while [ $i -lt 20 ]; do echo line $i; i=$((i + 1)); done
echo 'error: unsupported GNU version; gcc 15 and older are known' >&2; exit 1")
set(words "line 19 vblora: error: unsupported GNU version; gcc 15 and older are known")
configure(${FOLDER}/too-new 0 "vblora: ${FOLDER}/too-new does not work: CPU only vblora: line 15")
configure(${FOLDER}/too-new 0 "${words}" -DVBLORA_CUDA=AUTO)
configure(${FOLDER}/too-new 1 "VBLORA_CUDA=ON, but ${FOLDER}/too-new does not work." -DVBLORA_CUDA=ON)
configure(${FOLDER}/too-new 1 "${words}" -DVBLORA_CUDA=ON)
configure(${FOLDER}/no-program 0 "vblora: no nvcc was found: CUDACXX is '${FOLDER}/no-program', which is no program")

program(nvidia-smi "echo No devices were found; exit 6")
set(words "vblora: nvcc was found, but no GPU: CUDA kernels are left out; CUDAARCHS=90 in the environment builds them")
configure(${FOLDER}/too-new 0 "${words}")
configure(${FOLDER}/no-program 0 "vblora: no nvcc was found: CUDACXX is '${FOLDER}/no-program', which is no program")
configure(${FOLDER}/too-new 1 "VBLORA_CUDA=ON, but ${FOLDER}/too-new does not work." -DVBLORA_CUDA=ON)
foreach(option -DCMAKE_CUDA_ARCHITECTURES=90 -DVBLORA_CUDA_RELEASE=ON)
  configure(${FOLDER}/too-new 0 "vblora: ${FOLDER}/too-new does not work: CPU only" ${option})
endforeach()
set(ENV{CUDAARCHS} 90)
configure(${FOLDER}/too-new 0 "vblora: ${FOLDER}/too-new does not work: CPU only")

# Chooses with the words that nvidia-smi says, and CUDAARCHS.
program(nvcc "printf 'compute_75\\ncompute_80\\ncompute_90\\ncompute_100\\n'")
function(choose said architectures_expected why_expected)
  program(nvidia-smi "${said}")
  set(ENV{CUDAARCHS} "${ARGN}")
  vblora_choose_cuda_architectures(${FOLDER}/nvcc)
  if(NOT architectures STREQUAL architectures_expected OR NOT why MATCHES "^, ${why_expected}")
    message(FATAL_ERROR "nvidia-smi: ${said}; CUDAARCHS: ${ARGN}: '${architectures}${why}', expected "
      "'${architectures_expected}, ${why_expected}'")
  endif()
endfunction()
choose("printf '9.0\\n'" "90-real" "as of the GPUs here$")
choose("printf '9.0\\n8.0\\n9.0\\n'" "90-real;80-real" "as of the GPUs here$")
choose("printf '10.0\\n'" "100-real" "as of the GPUs here$")
choose("printf '12.0\\n'" "80" "the default: .*capability 12[.]0, .*does not know 12[.]0$")
choose("printf '9.0\\n1.0\\n'" "80" "the default: .*9[.]0, 1[.]0.*does not know 1[.]0$")  # compute_100 is another
choose("printf '7.0\\n'" "80" "the default: .*does not know 7[.]0$")
choose("echo No devices were found; exit 6" "80" "the default; ")
choose("echo No devices were found" "80" "the default; ")
choose("printf '9.0\\n'" "80-real;120" "as CUDAARCHS says$" 80-real 120)
file(REMOVE ${FOLDER}/nvidia-smi)
set(ENV{PATH} ${FOLDER})
set(ENV{CUDAARCHS} "")
vblora_choose_cuda_architectures(${FOLDER}/nvcc)
if(NOT architectures STREQUAL "80")
  message(FATAL_ERROR "without nvidia-smi: '${architectures}'")
endif()
