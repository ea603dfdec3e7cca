# What tests/bench/vblora_csv.py, which pytorch_admixture.py compares with, makes of vblora-bench's CSV: all phases of all
# shapes out of a real one, right sums out of a made-up one, and a sentence where something is missing.
#   cmake -DBENCH=<vblora-bench> -DROOT=<the checkout> -DFOLDER=<for its output> -P vblora_csv_test.cmake
find_program(python python3)
if(python)
  execute_process(COMMAND ${python} -c "import sys; sys.exit(sys.version_info < (3, 8))" RESULT_VARIABLE code ERROR_QUIET)
endif()
if(NOT python OR NOT code EQUAL 0)
  message("skipped: there is no python3, of Python 3.8 or later")
  return()
endif()
file(MAKE_DIRECTORY ${FOLDER})

function(read_csv expected_code)
  execute_process(COMMAND ${CMAKE_COMMAND} -E env PYTHONDONTWRITEBYTECODE=1
      ${python} ${ROOT}/tests/bench/vblora_csv.py ${ARGN}
    RESULT_VARIABLE code OUTPUT_VARIABLE said ERROR_VARIABLE refused)
  if(NOT code EQUAL expected_code)
    message(FATAL_ERROR "vblora_csv.py ${ARGN} ends with ${code}, expected ${expected_code}: ${said}${refused}")
  endif()
  set(said "${said}" PARENT_SCOPE)
  set(refused "${refused}" PARENT_SCOPE)
endfunction()

# Of what vblora-bench writes, on the CPU and where there is a device.
function(check_phases device modes)
  read_csv(0 ${FOLDER}/times.csv --scale 0.002)
  set(count 0)
  foreach(shape roberta-base llama-3.2-3b-qv llama-2-7b llama-2-13b)
    foreach(selection uniform zipf all-same)
      foreach(mode IN LISTS modes)
        foreach(phase forward backward adamw step)
          math(EXPR count "${count} + 1")
          if(NOT said MATCHES "(^|\n)${shape},${selection},${mode},${phase},[0-9]+[.][0-9]+\n")
            message(FATAL_ERROR "${device}: no ${shape},${selection},${mode},${phase} in ${said}")
          endif()
        endforeach()
      endforeach()
    endforeach()
  endforeach()
  string(REGEX MATCHALL "\n" lines "${said}")
  list(LENGTH lines found)
  if(NOT found EQUAL count)
    message(FATAL_ERROR "${device}: ${found} lines, expected ${count}: ${said}")
  endif()
endfunction()

set(quick ${BENCH} --quick --repetitions 1 --csv ${FOLDER}/times.csv)
execute_process(COMMAND ${quick} RESULT_VARIABLE code OUTPUT_QUIET ERROR_VARIABLE error)
if(code EQUAL 0)
  check_phases(cuda "eager;graph")
elseif(NOT code EQUAL 2)  # 2: there is no device
  message(FATAL_ERROR "vblora-bench ends with ${code}: ${error}")
endif()
execute_process(COMMAND ${quick} --device cpu RESULT_VARIABLE code OUTPUT_QUIET ERROR_VARIABLE error)
if(NOT code EQUAL 0)
  message(FATAL_ERROR "vblora-bench --device cpu ends with ${code}: ${error}")
endif()
check_phases(cpu eager)

# Sums of powers of two; what is not to be added is 1000. RoBERTa's bank is too small for active sets.
set(head "shape,op,dtype,selection,rows,num_vectors,device,mode,cache,status,median_us\n")
set(table "${head}")
foreach(model "roberta-base;2592;90" "llama-3.2-3b-qv;4480;256")
  list(GET model 0 shape)
  list(GET model 1 rows)
  list(GET model 2 num_vectors)
  foreach(row select,float32,-:1 adamw,float32,-:8 adamw_select,float32,-:16 adamw_active_select,float32,-:32
      compose,float32,uniform:2 compose,float32,zipf:2 compose,float32,all-same:2 compose,bfloat16,uniform:1000
      backward,float32,uniform:4 backward,float32,zipf:64 backward,float32,all-same:128)
    string(REPLACE ":" ";" row ${row})
    list(GET row 0 case)
    list(GET row 1 median)
    string(APPEND table "${shape},${case},${rows},${num_vectors},0,eager,warm,ok,1000\n"
      "${shape},${case},${rows},${num_vectors},0,eager,cold,ok,${median}\n"
      "${shape},${case},${rows},${num_vectors},0,graph,cold,ok,${median}.5\n")
  endforeach()
endforeach()
file(WRITE ${FOLDER}/made.csv "${table}")
read_csv(0 ${FOLDER}/made.csv --shape roberta-base --shape llama-3.2-3b-qv)
foreach(expected roberta-base,uniform,eager,forward,3 roberta-base,uniform,eager,backward,4
    roberta-base,uniform,eager,adamw,24 roberta-base,uniform,eager,step,30 roberta-base,zipf,eager,step,90
    roberta-base,all-same,eager,step,154 roberta-base,uniform,graph,step,32 llama-3.2-3b-qv,uniform,eager,forward,3
    llama-3.2-3b-qv,uniform,eager,adamw,40 llama-3.2-3b-qv,all-same,eager,step,170)
  if(NOT said MATCHES "(^|\n)${expected}[.]000\n")
    message(FATAL_ERROR "vblora_csv.py: expected ${expected}, found ${said}")
  endif()
endforeach()

# A table with `from` replaced by `to` is refused.
function(check_refused from to sentence)
  string(REPLACE "${from}" "${to}" spoilt "${table}")
  if(spoilt STREQUAL table)
    message(FATAL_ERROR "${from} is not in the table")
  endif()
  file(WRITE ${FOLDER}/spoilt.csv "${spoilt}")
  read_csv(2 ${FOLDER}/spoilt.csv --shape roberta-base --shape llama-3.2-3b-qv)
  if(NOT refused MATCHES "vblora_csv.py: .*spoilt.csv${sentence}")
    message(FATAL_ERROR "with ${to} for ${from}, vblora_csv.py says: ${refused}")
  endif()
endfunction()
check_refused(",median_us" ",median_ms" " has no column median_us, found shape, op,.*, median_ms; expected the CSV of")
check_refused("${table}" "" " has no column shape, found none")
check_refused(",compose," ",composition,"
  " has no row roberta-base, compose, float32, uniform, eager, cold; found for this shape adamw .eager., .*composition")
check_refused(",adamw_active_select," ",active,"
  " has no row llama-3.2-3b-qv, adamw_active_select, float32, -, eager, cold; found for this shape active")
check_refused(",graph," ",graphs," " has no row roberta-base, select, float32, -, graph, cold")
check_refused("roberta-base," "roberta," " has no shape roberta-base, found llama-3.2-3b-qv, roberta\n")
check_refused(",90," ",91," ": roberta-base: found 2592 rows and 91 vectors; expected 2592 and 90, by the same --scale")
check_refused("cold,ok,4\n" "cold,unsupported,\n"
  ": roberta-base, backward, float32, uniform, eager, cold: status: found unsupported; expected ok")
check_refused("cold,ok,4\n" "cold,ok,four\n"
  ", line [0-9]+: rows, num_vectors, median_us: found 2592, 90, four; expected numbers")
check_refused("cold,ok,4\n" "cold,ok\n" ", line [0-9]+: found another number of columns than in the first line")
read_csv(2 ${FOLDER}/nowhere.csv)
if(NOT refused MATCHES "nowhere.csv cannot be read: ")
  message(FATAL_ERROR "without a file, vblora_csv.py says: ${refused}")
endif()

# From which size of the bank on there are active sets is Java's to say.
function(constant file)
  file(STRINGS ${ROOT}/${file} line REGEX "ACTIVE_SET_NUM_VECTORS = [0-9]+")
  string(REGEX MATCH "= ([0-9]+)" found "${line}")
  set(value "${CMAKE_MATCH_1}" PARENT_SCOPE)
endfunction()
constant(java/adapter/src/io/vblora/optimizer/adamw/AdamW.java)
set(expected "${value}")
constant(tests/bench/vblora_csv.py)
if(NOT expected OR NOT value STREQUAL expected)
  message(FATAL_ERROR "ACTIVE_SET_NUM_VECTORS: found '${value}' in vblora_csv.py; expected '${expected}', as in Java")
endif()
