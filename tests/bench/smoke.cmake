# SPDX-License-Identifier: BSD-3-Clause
# Keeps the benchmark alive: it runs, what it prints is JSON, and no verdict was
# found only by the end of a wait slice. No time is looked at.
execute_process(COMMAND ${BENCH} --json --rounds 50 --memfaild ${MEMFAILD}
  OUTPUT_VARIABLE json RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${BENCH} ended with ${status}")
endif()
string(JSON count LENGTH "${json}" rows)
if(count LESS 2)
  message(FATAL_ERROR "only ${count} rows: ${json}")
endif()
math(EXPR last "${count} - 1")
foreach(i RANGE ${last})
  string(JSON name GET "${json}" rows ${i} name)
  string(JSON median GET "${json}" rows ${i} median-ns)
  string(JSON slices ERROR_VARIABLE none GET "${json}" rows ${i} counts slices)
  if(median LESS 1)
    message(FATAL_ERROR "${name} has no median: ${json}")
  endif()
  if(none STREQUAL "NOTFOUND" AND NOT slices EQUAL 0)
    message(FATAL_ERROR "${name}: ${slices} verdicts were found only by a slice")
  endif()
endforeach()
