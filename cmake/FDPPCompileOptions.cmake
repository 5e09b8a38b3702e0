# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Options every target of the project shares.
add_compile_options(-Wall -Wextra -Wno-unused-parameter
  "-ffile-prefix-map=${PROJECT_SOURCE_DIR}=.")
if(FDPP_SANITIZE)
  string(REPLACE ";" "," FDPP_SANITIZE_LIST "${FDPP_SANITIZE}")
  add_compile_options(-fsanitize=${FDPP_SANITIZE_LIST} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all -g1)
  add_link_options(-fsanitize=${FDPP_SANITIZE_LIST})
endif()
if(FDPP_FUZZ) # the edges that libFuzzer looks at; other programs run as before
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# fdpp_add_gtest(NAME SOURCES... LIBS ... [RUNTIME])
# A GoogleTest program, registered with ctest as one test. RUNTIME puts it
# among those that `ninja check-fdpp-runtime` runs.
function(fdpp_add_gtest name)
  cmake_parse_arguments(ARG "RUNTIME" "" "SOURCES;LIBS" ${ARGN})
  find_package(GTest REQUIRED)
  add_executable(${name} EXCLUDE_FROM_ALL ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LIBS} GTest::gtest_main GTest::gmock)
  add_dependencies(fdpp-tests ${name})
  if(ARG_RUNTIME)
    add_dependencies(fdpp-runtime-tests ${name})
    set(labels runtime)
  else()
    set(labels compiler)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS ${labels})
endfunction()
