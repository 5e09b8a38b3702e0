# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# What ccache has to be told to serve this project where a precompiled header is
# used too, and in whichever folder the sources lie.

# Without pch_defines and time_macros nothing that uses a precompiled header is
# cached; generated headers are no older than their first use.
set(FDPP_CCACHE env
  CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
  CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 CCACHE_PCH_EXTSUM=1)
foreach(language C CXX)
  if(CMAKE_${language}_COMPILER_LAUNCHER MATCHES "^([^;]*/)?ccache$")
    list(PREPEND CMAKE_${language}_COMPILER_LAUNCHER ${FDPP_CCACHE})
  endif()
endforeach()

# fdpp_sum_precompiled_header(TARGET HEADER [INCLUDE...])
# clang writes absolute paths into a precompiled header, so that each folder has
# another one. ccache takes a hash in a file beside it for it: this one is of
# all the text that goes in; ccache itself looks at the options.
function(fdpp_sum_precompiled_header target header)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL Clang)
    return()
  endif()
  list(TRANSFORM ARGN PREPEND -isystem OUTPUT_VARIABLE includes)
  execute_process(
    COMMAND ${CMAKE_CXX_COMPILER} -x c++ -std=c++${CMAKE_CXX_STANDARD}
      -E -P -dD
      ${includes} ${header}
    OUTPUT_VARIABLE text RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "${header} cannot be preprocessed: see above")
  endif()
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${header})
  string(SHA256 sum "${text}")
  file(WRITE
    ${CMAKE_CURRENT_BINARY_DIR}/CMakeFiles/${target}.dir/cmake_pch.hxx.pch.sum
    ${sum})
endfunction()
