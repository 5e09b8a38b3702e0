# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Finds LLVM/MLIR 22 and defines helpers for compiler libraries and tools.
find_package(MLIR 22.1 REQUIRED CONFIG)
list(APPEND CMAKE_MODULE_PATH ${MLIR_CMAKE_DIR} ${LLVM_CMAKE_DIR})
include(TableGen)
include(AddLLVM)
include(AddMLIR)
include_directories(BEFORE ${PROJECT_SOURCE_DIR}/include ${PROJECT_BINARY_DIR}/include
  ${PROJECT_SOURCE_DIR}/runtime)
include_directories(SYSTEM ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})

# Where `add_custom_target(fdpp-tablegen)` collects every generated header.
add_custom_target(fdpp-tablegen)

# MLIR's headers take 3 s a file to parse: one precompiled header serves all
# compiler libraries. No timestamps in it, so that ccache can share it.
add_library(fdpp-pch OBJECT ${PROJECT_SOURCE_DIR}/cmake/pch.cpp)
target_precompile_headers(fdpp-pch PRIVATE ${PROJECT_SOURCE_DIR}/cmake/pch.h)
target_compile_options(fdpp-pch PRIVATE -Xclang -fno-pch-timestamp)
fdpp_sum_precompiled_header(fdpp-pch ${PROJECT_SOURCE_DIR}/cmake/pch.h
  ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})

# fdpp_use_precompiled_header(NAME SOURCES...)
# REUSE_FROM would say the same with an absolute path that ccache does not know
# for one. Sources with SKIP_PRECOMPILE_HEADERS go without.
function(fdpp_use_precompiled_header name)
  set(pch ${PROJECT_BINARY_DIR}/CMakeFiles/fdpp-pch.dir/cmake_pch.hxx.pch)
  add_dependencies(${name} fdpp-pch)
  foreach(source IN LISTS ARGN)
    get_source_file_property(skip ${source} SKIP_PRECOMPILE_HEADERS)
    if(NOT skip)
      set_property(SOURCE ${source} APPEND PROPERTY COMPILE_OPTIONS
        -Xclang -fno-pch-timestamp -Winvalid-pch -include-pch ${pch})
      set_property(SOURCE ${source} APPEND PROPERTY OBJECT_DEPENDS ${pch})
    endif()
  endforeach()
endfunction()

# fdpp_add_library(NAME SOURCES... [LIBS ...])
# A static compiler library against the shared libMLIR and libLLVM.
function(fdpp_add_library name)
  cmake_parse_arguments(ARG "" "" "LIBS" ${ARGN})
  add_library(${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  add_dependencies(${name} fdpp-tablegen)
  if(CMAKE_CXX_COMPILER_ID STREQUAL Clang)
    fdpp_use_precompiled_header(${name} ${ARG_UNPARSED_ARGUMENTS})
  endif()
  target_compile_definitions(${name} PUBLIC ${LLVM_DEFINITIONS_LIST})
  target_link_libraries(${name} PUBLIC ${ARG_LIBS} MLIR LLVM)
endfunction()

separate_arguments(LLVM_DEFINITIONS_LIST NATIVE_COMMAND "${LLVM_DEFINITIONS}")
