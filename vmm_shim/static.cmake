# SPDX-License-Identifier: BSD-3-Clause
# libmemfail-shim.a: one object in which only memfail_* is global, so that a VMM
# with its own FlatBuffers, or its own operator new, links it without a clash.
set(no_heap $<TARGET_OBJECTS:memfail_shim_no_heap>)
if(MEMFAIL_SANITIZE)  # sanitizers bring the real operators
  set(no_heap)
endif()
set(shim_archive ${CMAKE_CURRENT_BINARY_DIR}/libmemfail-shim.a)
add_custom_command(
  OUTPUT ${shim_archive}
  COMMAND ${CMAKE_LINKER} -r -o shim.o "$<TARGET_OBJECTS:memfail_shim_objects>"
          ${no_heap}
          --whole-archive $<TARGET_FILE:memfail_shm> $<TARGET_FILE:memfail_decision>
          --no-whole-archive --force-group-allocation
  COMMAND ${CMAKE_OBJCOPY} --wildcard --keep-global-symbol=memfail_* shim.o
  COMMAND ${CMAKE_COMMAND} -E rm -f ${shim_archive}
  COMMAND ${CMAKE_AR} rcs ${shim_archive} shim.o
  DEPENDS memfail_shim_objects memfail_shim_no_heap memfail_shm memfail_decision
          $<TARGET_OBJECTS:memfail_shim_objects>
  WORKING_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}
  COMMAND_EXPAND_LISTS VERBATIM COMMENT "libmemfail-shim.a")
add_library(memfail_shim_no_heap OBJECT no_heap.cc)
target_link_libraries(memfail_shim_no_heap PRIVATE memfail_plain_flags)
add_custom_target(memfail_shim_archive ALL DEPENDS ${shim_archive})
add_library(memfail-shim-static STATIC IMPORTED GLOBAL)
set_target_properties(memfail-shim-static PROPERTIES
  IMPORTED_LOCATION ${shim_archive}
  INTERFACE_INCLUDE_DIRECTORIES ${CMAKE_CURRENT_SOURCE_DIR}/include)
add_dependencies(memfail-shim-static memfail_shim_archive)
