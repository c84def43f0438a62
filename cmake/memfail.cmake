# SPDX-License-Identifier: BSD-3-Clause
# What every target of this project is compiled with.

find_program(MEMFAIL_CCACHE ccache)
foreach(language C CXX)
  if(MEMFAIL_CCACHE AND NOT CMAKE_${language}_COMPILER_LAUNCHER)
    set(CMAKE_${language}_COMPILER_LAUNCHER ${MEMFAIL_CCACHE})
  endif()
endforeach()
if(MEMFAIL_FUZZ AND NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  message(FATAL_ERROR "MEMFAIL_FUZZ needs clang; use the preset: cmake --preset fuzz")
endif()

add_library(memfail_flags INTERFACE)
target_include_directories(memfail_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(memfail_flags INTERFACE
  -Wall -Wextra -Wpedantic -Werror -Wshadow -Wconversion -Wcast-align
  -Wnon-virtual-dtor -Wundef -fvisibility=hidden -fno-strict-aliasing)
include(cmake/hardening.cmake)
memfail_harden(memfail_flags)
memfail_reproducible(memfail_flags)
if(MEMFAIL_SANITIZE)
  # vptr checks need RTTI, which the plain parts do without.
  target_compile_options(memfail_flags INTERFACE
    -fsanitize=${MEMFAIL_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(memfail_flags INTERFACE -fsanitize=${MEMFAIL_SANITIZE})
  if(MEMFAIL_SANITIZE MATCHES undefined)
    target_compile_options(memfail_flags INTERFACE -fno-sanitize=vptr)
  endif()
  if(MEMFAIL_SANITIZE MATCHES thread AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC warns that TSan does not model fences. Ours order words of two
    # processes, which TSan cannot see anyway.
    target_compile_options(memfail_flags INTERFACE -Wno-tsan)
  endif()
endif()

# shm/, sidecar/decision/ and vmm_shim/ also run inside a VMM: no exceptions,
# no RTTI, nothing that would pull the C++ run-time library in.
add_library(memfail_plain_flags INTERFACE)
target_link_libraries(memfail_plain_flags INTERFACE memfail_flags)
target_compile_options(memfail_plain_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions -fno-rtti -fno-threadsafe-statics
                                   -U_GLIBCXX_ASSERTIONS>
  # A unique symbol stays global whatever objcopy is told: libmemfail-shim.a shows
  # memfail_* alone.
  $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fno-gnu-unique>)

# memfail_compile_quickly(TARGET [SOURCE…]): command lines, JSON and reports, whose libraries
# are templates all through. With a sanitizer and an optimizer they took half of the build.
function(memfail_compile_quickly target)
  if(NOT MEMFAIL_SANITIZE)
    return()
  endif()
  if(ARGN)
    set_source_files_properties(${ARGN} TARGET_DIRECTORY ${target} PROPERTIES COMPILE_OPTIONS -O0)
  else()
    target_compile_options(${target} PRIVATE -O0)
  endif()
endfunction()

# What nearly every test includes, read once: it is two thirds of a test's compile time.
# A test still includes what it uses; clang-tidy reads it without this.
function(memfail_make_test_headers)
  # A program as the tests are: GCC takes what was made with the same options alone.
  file(CONFIGURE OUTPUT test_headers.cc CONTENT "int main() {}\n")
  add_executable(memfail_test_headers ${CMAKE_CURRENT_BINARY_DIR}/test_headers.cc)
  target_link_libraries(memfail_test_headers PRIVATE memfail_flags GTest::gtest GTest::gmock)
  target_compile_options(memfail_test_headers PRIVATE ${MEMFAIL_TEST_OPTIONS})
  target_precompile_headers(memfail_test_headers PRIVATE <gmock/gmock.h> <gtest/gtest.h>
    <algorithm> <array> <atomic> <chrono> <cstdint> <cstdio> <cstring> <expected> <filesystem>
    <fstream> <functional> <map> <memory> <optional> <random> <set> <span> <sstream> <string>
    <thread> <vector>)
endfunction()

# A test need not be fast, but all of them take half the time to build this way.
# (ccache wants -fpch-preprocess of GCC.)
set(MEMFAIL_TEST_OPTIONS $<$<NOT:$<CONFIG:Debug>>:-O1> -g1
  $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)

# memfail_add_test(NAME shm_line_test SOURCES … LIBRARIES … [LABELS …] [TIMEOUT s])
# Every test is a GoogleTest program; one ctest entry a program.
function(memfail_add_test)
  cmake_parse_arguments(T "" "NAME;TIMEOUT" "SOURCES;LIBRARIES;LABELS;ARGS" ${ARGN})
  add_executable(${T_NAME} ${T_SOURCES})
  target_link_libraries(${T_NAME} PRIVATE memfail_flags ${T_LIBRARIES} GTest::gtest GTest::gmock GTest::gtest_main)
  target_compile_options(${T_NAME} PRIVATE ${MEMFAIL_TEST_OPTIONS})
  target_precompile_headers(${T_NAME} REUSE_FROM memfail_test_headers)
  add_test(NAME ${T_NAME} COMMAND ${T_NAME} ${T_ARGS})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 120)
  endif()
  set_tests_properties(${T_NAME} PROPERTIES TIMEOUT ${T_TIMEOUT} LABELS "${T_LABELS}")
endfunction()
