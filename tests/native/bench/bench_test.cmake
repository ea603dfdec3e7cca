# Runs vblora-bench on small shapes and checks that its table has every row.
#   cmake -DBENCH=<vblora-bench> -DFOLDER=<for its output> -DSIMT=ON|OFF -P bench_test.cmake
file(MAKE_DIRECTORY ${FOLDER})

function(check_table device file modes)
  file(STRINGS ${file} lines)
  list(LENGTH lines found)
  set(number "[0-9]+[.][0-9]+")
  set(expected 1)
  foreach(shape roberta-base llama-3.2-3b-qv llama-2-7b llama-2-13b)
    foreach(case
        select,float32,- adamw_active_select,float32,- adamw_select,float32,- adamw,float32,- sum_squares,float32,-
        compose,float32,uniform compose,float32,zipf compose,float32,all-same
        compose,bfloat16,uniform compose,bfloat16,zipf compose,bfloat16,all-same
        backward,float32,uniform backward,float32,zipf backward,float32,all-same)
      foreach(mode IN LISTS modes)
        math(EXPR expected "${expected} + 1")
        set(rest "ok,3,${number},${number},${number},[0-9]+,${number},${number},${number}")
        if(NOT "${lines}" MATCHES "(^|;)${shape},${case},[0-9]+,[0-9]+,256,2,${device},${mode},${rest}(;|$)")
          message(FATAL_ERROR "${file} has no row ${shape},${case},...,${mode} with all its numbers")
        endif()
      endforeach()
    endforeach()
  endforeach()
  if(NOT found EQUAL expected)
    message(FATAL_ERROR "${file} has ${found} lines, expected ${expected}")
  endif()
endfunction()

execute_process(COMMAND ${BENCH} --quick --device cpu --csv ${FOLDER}/cpu.csv RESULT_VARIABLE code OUTPUT_QUIET)
if(NOT code EQUAL 0)
  message(FATAL_ERROR "vblora-bench --device cpu ends with ${code}")
endif()
check_table(cpu ${FOLDER}/cpu.csv "eager,cold;eager,warm")

execute_process(COMMAND ${BENCH} --quick --csv ${FOLDER}/cuda.csv RESULT_VARIABLE code OUTPUT_QUIET ERROR_VARIABLE said)
if(code EQUAL 2 AND NOT SIMT)
  if(NOT said MATCHES "there is no such device [(]CUDA is absent: .*[)]; --device cpu measures the CPU")
    message(FATAL_ERROR "without a device, vblora-bench says: ${said}")
  endif()
elseif(code EQUAL 0)
  check_table(0 ${FOLDER}/cuda.csv "eager,cold;eager,warm;graph,cold;graph,warm")
else()
  message(FATAL_ERROR "vblora-bench ends with ${code}: ${said}")
endif()

execute_process(COMMAND ${BENCH} --scale nought RESULT_VARIABLE code ERROR_VARIABLE said)
if(NOT code EQUAL 2 OR NOT said MATCHES "--scale takes a number")
  message(FATAL_ERROR "a bad option ends with ${code}: ${said}")
endif()
