# Configured without options, native/ has the library and vblora-bench, and no tests.
#   SOURCE  native/    FOLDER  for what is made    GENERATOR  CMake's
file(REMOVE_RECURSE ${FOLDER})
set(ENV{CUDACXX} ${FOLDER}/none)  # what there is of CUDA is another test's affair
execute_process(COMMAND ${CMAKE_COMMAND} -G ${GENERATOR} -S ${SOURCE} -B ${FOLDER} RESULT_VARIABLE result
  OUTPUT_VARIABLE said ERROR_VARIABLE said)
execute_process(COMMAND ${CMAKE_COMMAND} --build ${FOLDER} --target help OUTPUT_VARIABLE targets)
if(NOT result EQUAL 0 OR NOT targets MATCHES "vblora-bench" OR targets MATCHES "_test")
  message(FATAL_ERROR "configured: ${result}, expected 0, vblora-bench and no tests:\n${said}\n${targets}")
endif()
