# Adds CUDA sources to a target, compiled by the C++ compiler for the SIMT host.
function(simt_add_cuda_sources target)
  # CUDA sources view memory as other types (float4 of floats), which C++ compilers may take as a promise not to. Where one
  # branch reads a float4, GCC 12 vectorizes single floats of another branch as if these were aligned, too.
  set_source_files_properties(${ARGN} TARGET_DIRECTORY ${target} PROPERTIES
    LANGUAGE CXX COMPILE_OPTIONS "-x;c++;-fno-strict-aliasing;-fno-tree-slp-vectorize;-Wno-unknown-pragmas")
  target_sources(${target} PRIVATE ${ARGN})
  target_link_libraries(${target} PRIVATE simt::cudart)
endfunction()
