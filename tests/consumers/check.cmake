# Builds and runs the consumer one way: cmake -DWAY=find_package|add_subdirectory|within|pkg_config -DSOURCE=... -DBUILD=...
# -DWORK=... -DCXX=... -DARCH=... -DSHARED=ON|OFF -DLAUNCHER=... -P check.cmake
# "within" is add_subdirectory without the build: what it configures and installs, and is over in a second.
function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})
set(here ${SOURCE}/tests/consumers)
set(folder ${WAY})
if(WAY STREQUAL "within")
  set(folder add_subdirectory)
endif()
if(NOT folder STREQUAL "add_subdirectory")
  run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/installed)
endif()
if(WAY STREQUAL "pkg_config")
  find_program(PKG_CONFIG pkg-config REQUIRED)
  set(ENV{PKG_CONFIG_PATH} ${WORK}/installed/lib/pkgconfig:${WORK}/installed/lib/${ARCH}/pkgconfig)
  execute_process(COMMAND ${PKG_CONFIG} --cflags --libs varve
    OUTPUT_VARIABLE flags OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  separate_arguments(flags UNIX_COMMAND "${flags}")
  run(${CXX} ${here}/main.cpp -o ${WORK}/consumer ${flags})
else()
  run(${CMAKE_COMMAND} -S ${here}/${folder} -B ${WORK}/build -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG=-O0 -DCMAKE_CXX_COMPILER=${CXX}
    -DCMAKE_PREFIX_PATH=${WORK}/installed -DVARVE_SOURCE=${SOURCE} -DVARVE_CPU_LEVELS=generic -DBUILD_SHARED_LIBS=${SHARED} ${LAUNCHER})  # quickly: one set of kernels, unoptimised
  if(NOT WAY STREQUAL "within")
    run(${CMAKE_COMMAND} --build ${WORK}/build --target consumer)
    file(COPY ${WORK}/build/consumer DESTINATION ${WORK})
  endif()
endif()
if(WAY STREQUAL "find_package" AND NOT SHARED)  # a static varve hands zstd on, and says so where there is none
  execute_process(COMMAND ${CMAKE_COMMAND} -S ${here}/${WAY} -B ${WORK}/without_zstd -G Ninja -DCMAKE_CXX_COMPILER=${CXX}
    -DCMAKE_PREFIX_PATH=${WORK}/installed -DVARVE_ZSTD=OFF RESULT_VARIABLE status OUTPUT_QUIET ERROR_VARIABLE said)
  if(status EQUAL 0 OR NOT said MATCHES "zstd was not found")
    message(FATAL_ERROR "configuring without zstd ended with ${status}, and said:\n${said}")
  endif()
endif()
if(WAY STREQUAL "within")  # which installs nothing that was not asked for
  run(${CMAKE_COMMAND} --install ${WORK}/build --prefix ${WORK}/unasked)
  file(GLOB_RECURSE unasked ${WORK}/unasked/*)
  if(unasked)
    message(FATAL_ERROR "installed from within another project: ${unasked}")
  endif()
endif()
if(NOT WAY STREQUAL "within")
  set(ENV{LD_LIBRARY_PATH} ${WORK}/installed/lib:${WORK}/installed/lib/${ARCH})  # of a shared build
  run(${WORK}/consumer)
endif()
