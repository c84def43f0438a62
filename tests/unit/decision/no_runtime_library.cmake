# SPDX-License-Identifier: BSD-3-Clause
# The decision code is linked into a library that needs libc alone: nothing in
# the archive may ask for the C++ run-time library (std::, operator new and
# delete, exceptions, RTTI, guards of local statics).
execute_process(COMMAND ${NM} --undefined-only ${ARCHIVE}
  OUTPUT_VARIABLE symbols RESULT_VARIABLE result)
if(NOT result EQUAL 0 OR symbols STREQUAL "")
  message(FATAL_ERROR "cannot read the symbols of ${ARCHIVE}")
endif()
execute_process(COMMAND ${NM} --defined-only ${ARCHIVE} OUTPUT_VARIABLE defined)
string(REGEX MATCHALL "U (_ZN?K?S[tabiso][^\n]*|_Z[nd][wla][^\n]*|_ZT[VIS][^\n]*|__cxa[^\n]*|__gxx[^\n]*|_Unwind[^\n]*)"
  found "${symbols}")
# Inline functions of the library that this archive also defines are its own.
foreach(symbol ${found})
  string(REGEX REPLACE "^U " "" name "${symbol}")
  string(FIND "${defined}" " ${name}\n" at)
  if(at EQUAL -1)
    list(APPEND foreign ${name})
  endif()
endforeach()
if(foreign)
  list(REMOVE_DUPLICATES foreign)
  message(FATAL_ERROR "${ARCHIVE} needs the C++ run-time library: ${foreign}")
endif()
