# Runs vblora-bench on small shapes: its table has every row, its checks pass, and they notice kernels that are wrong.
#   cmake -DBENCH=<vblora-bench> -DWRONG=<wrong_kernels.so> -DFOLDER=<for its output> -DSIMT=ON|OFF -P bench_test.cmake
file(MAKE_DIRECTORY ${FOLDER})
set(number "[0-9]+[.][0-9]+")
set(real "[0-9]+[.][0-9]+e[-+][0-9]+")
set(compose_and_backward "")
foreach(selection uniform zipf all-same)
  list(APPEND compose_and_backward compose,float32,${selection} compose,bfloat16,${selection}
    compose,float16,${selection} backward,float32,${selection})
endforeach()
set(every_step select,float32,- adamw_active_select,float32,- adamw_active_select,float32,joining
  adamw_select,float32,- adamw,float32,- sum_squares,float32,- clip,float32,- lowrank_forward,float32,-
  lowrank_backward,float32,- lowrank_forward,float32,pair lowrank_backward,float32,pair silu_mul_forward,float32,-
  silu_mul_backward,float32,- ${compose_and_backward})
set(all ${every_step} active_load,float32,- active_store,float32,- active_copy,float32,-
  convert_float32,bfloat16,- convert_float32,float16,- convert_bfloat16,float32,- convert_bfloat16,float16,-
  convert_float16,float32,- convert_float16,bfloat16,- lowrank_merge,float32,- lowrank_merge,bfloat16,-
  lowrank_merge,float16,- lowrank_merge,float32,conv1d lowrank_merge,bfloat16,conv1d lowrank_merge,float16,conv1d
  lowrank_delta,float32,- lowrank_delta,float32,conv1d dropout_mask,float32,-)
set(checked aligned unaligned large-topk few-rows few-rows-topk-8 few-rows-topk-1 few-rows-topk-4 topk-1
  topk-2-unaligned topk-17 topk-33)
set(cuda_every_step lowrank_forward,bfloat16,- lowrank_backward,bfloat16,- lowrank_forward,bfloat16,pair
  lowrank_backward,bfloat16,pair silu_mul_forward,bfloat16,- silu_mul_backward,bfloat16,-)
set(cuda_all ${cuda_every_step} lowrank_forward,float16,- lowrank_backward,float16,-
  lowrank_forward,float16,pair lowrank_backward,float16,pair silu_mul_forward,float16,- silu_mul_backward,float16,-)

# A row for each shape, case and mode, and `others` more lines. rest: what follows the mode.
function(check_table file device shapes cases modes rest others)
  file(STRINGS ${file} lines)
  list(LENGTH lines found)
  set(expected ${others})
  foreach(shape IN LISTS shapes)
    foreach(case IN LISTS cases)
      foreach(mode IN LISTS modes)
        math(EXPR expected "${expected} + 1")
        if(NOT "${lines}" MATCHES "(^|;)${shape},${case},[0-9]+,[0-9]+,[0-9]+,[0-9]+,${device},${mode},${rest}(;|$)")
          message(FATAL_ERROR "${file} has no row ${shape},${case},...,${mode} with all its numbers")
        endif()
      endforeach()
    endforeach()
  endforeach()
  if(NOT found EQUAL expected)
    message(FATAL_ERROR "${file} has ${found} lines, expected ${expected}")
  endif()
endfunction()

function(check_times device modes launches)
  if(NOT device STREQUAL "cpu")
    list(APPEND every_step ${cuda_every_step})
  endif()
  math(EXPR others "1 + ${launches}")
  check_table(${FOLDER}/times.csv ${device} "roberta-base;llama-3.2-3b-qv;llama-2-7b;llama-2-13b" "${every_step}"
    "${modes}" "ok,1,${number},${number},${number},[0-9]+,${number},${number},${number},,,," ${others})
  file(READ ${FOLDER}/times.svg svg)
  foreach(wanted "^<svg xmlns=" "roberta-base" "llama-2-13b" "compose bfloat16, zipf" "</svg>\n$")
    if(NOT svg MATCHES "${wanted}")
      message(FATAL_ERROR "${FOLDER}/times.svg does not match ${wanted}")
    endif()
  endforeach()
endfunction()

# Of a case of shape aligned: rows n, num_vectors h, vector_length b, topk k, and the bytes that it says must be moved.
macro(read_row case)
  file(STRINGS ${FOLDER}/check.csv row REGEX "^aligned,${case},")
  string(REPLACE "," ";" row "${row}")
  list(GET row 4 n)
  list(GET row 5 h)
  list(GET row 6 b)
  list(GET row 7 k)
  list(GET row 16 bytes)
endmacro()

# expected: a formula of what read_row reads; another argument: what may come to it.
function(check_bytes case expected)
  read_row(${case})
  set(least "${expected}")
  set(most "${expected}${ARGN}")
  foreach(formula least most)
    foreach(name n h b k)
      string(REPLACE "${name}" "${${name}}" ${formula} "${${formula}}")
    endforeach()
    math(EXPR ${formula} "${${formula}}")
  endforeach()
  if(bytes LESS least OR bytes GREATER most)
    message(FATAL_ERROR "${case}: ${bytes} bytes, expected ${expected} = ${least} to ${most}")
  endif()
endfunction()

# Three quarters of aligned's entries are active, anywhere in a row: in each of its sectors of 32 bytes, but for one in
# 200,000, at random (h is a multiple of 32).
function(check_all_bytes)
  check_bytes(select,float32,- "n * (4 * h + 8 * k)")
  check_bytes(compose,bfloat16,all-same "n * (2 * b + 4 + 8 * k) + 4 * k * b")
  check_bytes(backward,float32,all-same "n * (4 * b + 4 + 12 * k) + 4 * k * b + 4 * h * b")
  # Logits and moments of all are read and those that change written; indices and gradients, indices and weights.
  check_bytes(adamw_select,float32,- "n * (12 * h + 3 * 32 * (h / 8) + 16 * k)")
  check_bytes(active_store,float32,- "n * (16 * (h * 3 / 4) + 4 + 8 * h + 32 * (h / 8))")
  check_bytes(adamw,float32,- "28 * h * b")
  # 16 bytes of an active entry are read, 12 written; two counts, k candidates and their logits, in 1 to k sectors.
  check_bytes(adamw_active_select,float32,- "n * (28 * (h * 3 / 4) + 16 * k + 8 + 4 * k + 32)" " + n * 32 * (k - 1)")
  # One row in 8 activates one: its logit's sector, 16 bytes, the counts, 8 candidates. One in 64 gets 8 new candidates.
  read_row(adamw_active_select,float32,-)
  check_bytes(adamw_active_select,float32,joining
    "${bytes} + (n + 7) / 8 * (32 + 16 + 8 + 32) + (n + 63) / 64 * (4 * h + 32)")
endfunction()

# Checks all ops on a device, then spoils some of them.
function(check_kernels name device)
  if(NOT device STREQUAL "cpu")
    list(APPEND all ${cuda_all})
  endif()
  file(REMOVE ${FOLDER}/launches ${FOLDER}/kernels)
  execute_process(COMMAND ${CMAKE_COMMAND} -E env SIMT_LAUNCH_LOG=${FOLDER}/launches SIMT_KERNEL_LIST=${FOLDER}/kernels
      ${BENCH} --check --quick --repetitions 1 --device ${name} --seed 7 --json --csv ${FOLDER}/check.csv
    RESULT_VARIABLE code OUTPUT_VARIABLE json ERROR_VARIABLE said)
  if(NOT code EQUAL 0 OR NOT said STREQUAL "")
    message(FATAL_ERROR "vblora-bench --check --device ${name} ends with ${code}: ${said}\n${json}")
  endif()
  check_table(${FOLDER}/check.csv ${device} "${checked}" "${all}" "eager,warm"
    "ok,1,${number},${number},${number},[0-9]+,${number},${number},${number},${real},${real},\"[a-z0-9 ]+\",\"\"" 1)
  check_all_bytes()
  string(JSON ok GET "${json}" ok)
  string(JSON seed GET "${json}" seed)
  string(JSON kernels LENGTH "${json}" kernels)
  list(LENGTH all ops)
  list(LENGTH checked shapes)
  math(EXPR expected "${shapes} * ${ops}")
  if(NOT ok STREQUAL "ON" OR NOT seed EQUAL 7 OR NOT kernels EQUAL expected)
    message(FATAL_ERROR "vblora-bench --check --json: ok ${ok}, seed ${seed}, ${kernels} of ${expected} kernels")
  endif()
  check_wrong(${name} select "the second index for the first" "indices.0. is")
  check_wrong(${name} select "a weight without its last bits" "weights.0. is")
  check_wrong(${name} select "changed logits" "input logits was changed, at byte 28")
  check_wrong(${name} compose "a neighbour's element" "packed.[0-9]+. is")
  check_wrong(${name} compose "an element behind the end" "something was written beside packed")
  check_wrong(${name} backward "nothing written" "dlogits.0. is -?nan")
  run_wrong(${name} backward "no scratch memory"
    "vblora-bench: backward [(]aligned, float32[)]: vbl_admixture_backward failed: .*scratch" --shape aligned)
  check_wrong(${name} adamw "an element before the start" "something was written beside parameter")
  check_wrong(${name} adamw "cleared gradient" "input gradient was changed, at byte 0")
  check_wrong(${name} adamw_select "no update" "parameter.[0-9]+. is")
  check_wrong(${name} adamw_active_select "room for all selected" "[a-z_]+.[0-9]+. is")
  check_wrong(${name} adamw_active_select "weights of lists too short" "input weights was changed, at byte 0")
  check_wrong(${name} lowrank_forward "the first p for the second" "p.1. is")
  check_wrong(${name} lowrank_backward "no part of dx" "dx.[0-9]+. is")
  check_wrong(${name} lowrank_backward "no da without dx" "da.0. is 0")
  check_wrong(${name} silu_mul_forward "gate for up" "out.[0-9]+. is")
  check_wrong(${name} silu_mul_backward "gradients the other way round" "dgate.[0-9]+. is")
  check_wrong(${name} lowrank_merge "merged twice" "weight.[0-9]+. is")
  # In all shapes, with and without joining entries; and in those whose rows are few and long.
  run_wrong(${name} adamw_select "no indices" "${shapes} of ${shapes} checks failed.*: indices.[0-9]+. is")
  math(EXPR checks "2 * ${shapes}")
  run_wrong(${name} adamw_active_select "no indices" "${checks} of ${checks} checks failed.*: indices.[0-9]+. is")
  foreach(op select adamw_select)
    run_wrong(${name} ${op} "shared rows" "4 of ${shapes} checks failed.*[(]few-rows, float32[)]: weights.0. is")
  endforeach()
endfunction()

# Checks an op that is spoilt. finding: what is said then.
function(check_wrong device op wrong finding)
  run_wrong(${device} ${op} "${wrong}" "checks failed, first that of ${op} [(]aligned, float32[)]: ${finding}"
    --shape aligned)
  if(NOT table MATCHES "wrong: ")
    message(FATAL_ERROR "With ${op} spoilt (${wrong}), the table has no such row: ${table}")
  endif()
endfunction()

macro(run_wrong device op wrong sentence)
  execute_process(COMMAND ${CMAKE_COMMAND} -E env LD_PRELOAD=${WRONG} ASAN_OPTIONS=verify_asan_link_order=0
      "WRONG_KERNEL=${wrong}"
      ${BENCH} --check --quick --repetitions 1 --device ${device} --seed 7 --op ${op} ${ARGN}
    RESULT_VARIABLE code OUTPUT_VARIABLE table ERROR_VARIABLE said)
  if(NOT code EQUAL 1 OR NOT said MATCHES "${sentence}")
    message(FATAL_ERROR "With ${op} spoilt (${wrong}), vblora-bench --check --device ${device} ends with ${code}: "
      "${said}\n${table}")
  endif()
endmacro()

execute_process(COMMAND ${BENCH} --quick --repetitions 1 --device cpu --csv ${FOLDER}/times.csv
    --svg ${FOLDER}/times.svg
  RESULT_VARIABLE code OUTPUT_QUIET)
if(NOT code EQUAL 0)
  message(FATAL_ERROR "vblora-bench --device cpu ends with ${code}")
endif()
check_times(cpu "eager,cold;eager,warm" 0)
check_kernels(cpu cpu)

execute_process(COMMAND ${BENCH} --quick --repetitions 1 --csv ${FOLDER}/times.csv --svg ${FOLDER}/times.svg
  RESULT_VARIABLE code OUTPUT_QUIET ERROR_VARIABLE said)
if(code EQUAL 2 AND NOT SIMT)
  if(NOT said MATCHES "There is no device cuda:0 [(]CUDA is absent: .*[)]; --device cpu takes the CPU")
    message(FATAL_ERROR "without a device, vblora-bench says: ${said}")
  endif()
elseif(code EQUAL 0)
  check_times(0 "eager,cold;eager,warm;graph,cold;graph,warm" 2)
  check_kernels(cuda 0)
else()
  message(FATAL_ERROR "vblora-bench ends with ${code}: ${said}")
endif()

# Refused before anything is measured.
function(check_refused sentence)
  execute_process(COMMAND ${BENCH} --device cpu --op clip ${ARGN}
    RESULT_VARIABLE code OUTPUT_VARIABLE table ERROR_VARIABLE said)
  if(NOT code EQUAL 2 OR NOT said MATCHES "${sentence}" OR NOT table STREQUAL "")
    message(FATAL_ERROR "vblora-bench ${ARGN} ends with ${code}: ${said}\n${table}")
  endif()
endfunction()
check_refused("--scale takes a number from 1e-06 to 100, found 'nought'" --scale nought)
check_refused("--scale takes a number from 1e-06 to 100, found 'inf'" --scale inf)
check_refused("--repetitions takes a whole number from 1 to 1000000, found '2.5'" --repetitions 2.5)
check_refused("--repetitions takes a whole number from 1 to 1000000, found '0'" --repetitions 0)
check_refused("--csv: found '.*nowhere/times.csv'; expected a file in a folder that is there"
  --csv ${FOLDER}/nowhere/times.csv)
check_refused("--svg: found '.*'; expected a file" --svg ${FOLDER})
check_refused("--op: found 'dance'; expected one of adamw, .*, sum_squares\n" --op dance)
check_refused("--op: found 'launch'; expected one of adamw" --op launch)
check_refused("--shape: found 'gpt-2'; expected one of llama-2-13b, llama-2-7b, llama-3.2-3b-qv, roberta-base"
  --shape gpt-2)
check_refused("--shape: found 'llama-2-7b'; expected one of aligned, few-rows, .*, unaligned\n" --check
  --shape llama-2-7b)

# Written whole or not at all: the disk is full, or there is room.
execute_process(COMMAND ${BENCH} --quick --device cpu --op clip --csv /dev/full
  RESULT_VARIABLE code OUTPUT_QUIET ERROR_VARIABLE said)
if(NOT code EQUAL 1 OR NOT said MATCHES "/dev/full could not be written")
  message(FATAL_ERROR "a file that cannot be written ends with ${code}: ${said}")
endif()
if(EXISTS ${FOLDER}/times.csv.part)
  message(FATAL_ERROR "${FOLDER}/times.csv.part was left behind")
endif()
