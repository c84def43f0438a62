# SPDX-License-Identifier: BSD-3-Clause
# cmake -DSOURCE=… -DOUTPUT=… -DMANUAL_IN=… -DMANUAL_OUT=… -P collect_rules.cmake
#
# The annotations `// syscall(THREAD …): NAME[=CONDITION] …` of sidecar/ and shm/ become
# the table of filter.cc, and the list in the manual page memfaild(8).
cmake_minimum_required(VERSION 3.25)
file(GLOB_RECURSE files RELATIVE ${SOURCE} ${SOURCE}/sidecar/*.cc ${SOURCE}/sidecar/*.h
  ${SOURCE}/shm/*.cc ${SOURCE}/shm/*.h)
list(SORT files)
set(table)
foreach(file ${files})
  file(STRINGS ${SOURCE}/${file} lines REGEX "^ *//.* syscall\\([a-z ]+\\): [a-z]")
  foreach(line ${lines})
    string(REGEX MATCH "syscall\\(([a-z ]+)\\): (.*)$" found "${line}")
    string(REPLACE " " ";" threads "${CMAKE_MATCH_1}")
    string(REPLACE " " ";" calls "${CMAKE_MATCH_2}")
    foreach(thread ${threads})
      string(SUBSTRING ${thread} 0 1 first)
      string(TOUPPER ${first} first)
      string(SUBSTRING ${thread} 1 -1 rest)
      foreach(call ${calls})
        string(REGEX MATCH "^([a-z0-9_]+)=?([a-z-]*)$" found "${call}")
        if(NOT found)
          message(FATAL_ERROR "${file}: not a call of an annotation: '${call}'")
        endif()
        string(APPEND table "    {Thread::k${first}${rest}, \"${CMAKE_MATCH_1}\", "
          "\"${CMAKE_MATCH_2}\", \"${file}\"},\n")
        list(APPEND ${thread}_calls "${call}")
      endforeach()
    endforeach()
  endforeach()
endforeach()
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT
"// Made by collect_rules.cmake.
namespace memfail::sandbox {
namespace {
constexpr Rule kRules[] = {
@table@};
}  // namespace
}  // namespace memfail::sandbox
")

# "read, write (stderr)": each thread's, for people.
set(CALLS)
foreach(thread loop journal closer waiter)
  list(REMOVE_DUPLICATES ${thread}_calls)
  list(SORT ${thread}_calls)
  string(REGEX REPLACE "=([a-z-]+)" " (\\1)" calls "${${thread}_calls}")
  string(REPLACE ";" ", " calls "${calls}")
  string(REPLACE "-" "\\-" calls "${calls}")
  string(APPEND CALLS ".TP\n.B ${thread}\n${calls}\n")
endforeach()
configure_file(${MANUAL_IN} ${MANUAL_OUT} @ONLY)
