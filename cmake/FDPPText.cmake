# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# The two small C libraries under runtime/text: imported targets FDPP::pcre2
# and FDPP::utf8proc. Their distributions ship no CMake package, and pkg-config
# is not everywhere.
function(fdpp_find_c_library name header library package)
  find_path(FDPP_${name}_INCLUDE ${header})
  find_library(FDPP_${name}_LIBRARY ${library})
  if(NOT FDPP_${name}_INCLUDE OR NOT FDPP_${name}_LIBRARY)
    message(FATAL_ERROR "${header} or lib${library} not found; install ${package}")
  endif()
  mark_as_advanced(FDPP_${name}_INCLUDE FDPP_${name}_LIBRARY)
  add_library(FDPP::${name} UNKNOWN IMPORTED GLOBAL)
  set_target_properties(FDPP::${name} PROPERTIES
    IMPORTED_LOCATION ${FDPP_${name}_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${FDPP_${name}_INCLUDE})
endfunction()

fdpp_find_c_library(pcre2 pcre2.h pcre2-8 libpcre2-dev)
fdpp_find_c_library(utf8proc utf8proc.h utf8proc libutf8proc-dev)
