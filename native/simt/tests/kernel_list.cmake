# The list of kernels has those that the log of launches has, each with its template's arguments.
#   cmake -DPROGRAM=<warp_test> -DFOLDER=<for its files> -P kernel_list.cmake
set(list ${FOLDER}/kernels)
set(log ${FOLDER}/launches)
file(MAKE_DIRECTORY ${FOLDER})
file(REMOVE ${list} ${log})
execute_process(COMMAND ${CMAKE_COMMAND} -E env SIMT_KERNEL_LIST=${list} SIMT_LAUNCH_LOG=${log} ${PROGRAM}
  RESULT_VARIABLE result)
file(STRINGS ${list} known)
file(STRINGS ${log} launched)
list(TRANSFORM launched REPLACE "^[1-9][0-9]* " "")
list(REMOVE_DUPLICATES launched)
list(SORT launched)
if(NOT result EQUAL 0 OR NOT known STREQUAL launched OR NOT known MATCHES "(^|;)shuffles<float>;.*votes$")
  message(FATAL_ERROR "result ${result}; known: ${known}; launched: ${launched}")
endif()
