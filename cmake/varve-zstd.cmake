# zstd as varve::zstd, for varve and for those who link a static varve; or varve_NOT_FOUND_MESSAGE, which says what is missing.
find_library(VARVE_ZSTD zstd)
find_path(VARVE_ZSTD_HEADERS zstd.h)
mark_as_advanced(VARVE_ZSTD VARVE_ZSTD_HEADERS)
if(NOT VARVE_ZSTD OR NOT VARVE_ZSTD_HEADERS)
  set(varve_NOT_FOUND_MESSAGE "varve: zstd was not found; install it with its headers (Debian: libzstd-dev), or set VARVE_ZSTD and VARVE_ZSTD_HEADERS to its library and folder of headers")
elseif(NOT TARGET varve::zstd)
  add_library(varve::zstd UNKNOWN IMPORTED GLOBAL)
  set_target_properties(varve::zstd PROPERTIES IMPORTED_LOCATION "${VARVE_ZSTD}"
    INTERFACE_INCLUDE_DIRECTORIES "${VARVE_ZSTD_HEADERS}")
endif()
