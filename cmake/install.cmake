# Installing: headers, library, and what find_package(varve) and pkg-config need.
include(CMakePackageConfigHelpers)
install(TARGETS varve EXPORT varve
  FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT varve NAMESPACE varve:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/varve FILE varve-targets.cmake)
configure_package_config_file(cmake/varve-config.cmake.in varve-config.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/varve)
write_basic_package_version_file(varve-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/varve-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/varve-config-version.cmake
  cmake/varve-zstd.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/varve)

# Paths from where the .pc file lies, so that the installed tree can be moved. A static varve links nothing without its
# own dependencies, so they are required even of those who forget --static.
file(RELATIVE_PATH varve_pc_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
set(varve_pc_requires "Requires: fmt zlib libzstd")
if(BUILD_SHARED_LIBS)
  set(varve_pc_requires "Requires.private: fmt zlib libzstd")
else()
  set(varve_pc_flags " -DVARVE_STATIC")
  if(VARVE_CUDA)
    set(varve_pc_libs " -L${CUDAToolkit_LIBRARY_DIR} -lcublasLt -lcudart_static -lrt -ldl")
  endif()
endif()
configure_file(cmake/varve.pc.in varve.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/varve.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
