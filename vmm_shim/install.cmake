# SPDX-License-Identifier: BSD-3-Clause
# What an integrator's build finds: headers, libraries, pkg-config, CMake package.
include(CMakePackageConfigHelpers)
install(TARGETS memfail-shim EXPORT memfail-shim
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${shim_archive} DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES include/memfail/shim.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/memfail)
# Relative, so that the package works wherever --prefix or DESTDIR put it.
file(RELATIVE_PATH prefix_from_pc ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(memfail-shim.pc.in memfail-shim.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/memfail-shim.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/memfail-shim)
install(EXPORT memfail-shim NAMESPACE memfail:: DESTINATION ${package_dir}
  FILE memfail-shim-config.cmake)
write_basic_package_version_file(memfail-shim-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/memfail-shim-config-version.cmake
  DESTINATION ${package_dir})
