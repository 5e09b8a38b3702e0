# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# What is installed, in components that packages can split: Runtime (runs
# engines), Compiler (makes them), Development (programs over the C API). The
# tree finds its parts relative to each other, so it can lie anywhere.
include(CMakePackageConfigHelpers)

file(RELATIVE_PATH FDPP_BIN_TO_LIB /prefix/${CMAKE_INSTALL_BINDIR}
  /prefix/${CMAKE_INSTALL_LIBDIR})
set(FDPP_SHARE ${CMAKE_INSTALL_DATADIR}/fdpp)

# fdpp_install_tool(NAME COMPONENT)
# A program of the component, which find_package(FDPP COMPONENTS COMPONENT)
# gives as FDPP::NAME.
function(fdpp_install_tool name component)
  set(runpath "$ORIGIN/${FDPP_BIN_TO_LIB}")
  if(component STREQUAL Compiler) # Debian's libMLIR is not on the search path
    list(APPEND runpath ${LLVM_LIBRARY_DIR})
  endif()
  set_target_properties(${name} PROPERTIES INSTALL_RPATH "${runpath}")
  install(TARGETS ${name} EXPORT FDPP${component}Targets
    RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT ${component})
  set_property(GLOBAL APPEND PROPERTY FDPP_INSTALLED ${component})
endfunction()

# fdpp_install_package()
# After all targets: headers, the CMake package, pkg-config and documents.
function(fdpp_install_package)
  set(package ${CMAKE_INSTALL_LIBDIR}/cmake/FDPP)
  configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/FDPPConfig.cmake.in
    FDPPConfig.cmake INSTALL_DESTINATION ${package} NO_SET_AND_CHECK_MACRO
    NO_CHECK_REQUIRED_COMPONENTS_MACRO)
  write_basic_package_version_file(FDPPConfigVersion.cmake
    COMPATIBILITY SameMinorVersion)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/FDPPConfig.cmake
    ${CMAKE_CURRENT_BINARY_DIR}/FDPPConfigVersion.cmake
    DESTINATION ${package} COMPONENT Development)
  get_property(components GLOBAL PROPERTY FDPP_INSTALLED)
  list(REMOVE_DUPLICATES components)
  foreach(component IN LISTS components)
    install(EXPORT FDPP${component}Targets NAMESPACE FDPP::
      DESTINATION ${package} COMPONENT ${component})
  endforeach()

  file(RELATIVE_PATH FDPP_PC_TO_PREFIX
    /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/fdpp-runtime.pc.in
    fdpp-runtime.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/fdpp-runtime.pc
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT Development)
  install(FILES LICENSE README.md CHANGELOG.md SECURITY.md
    docs/installing.md docs/c-api.md docs/engine-format.md
    DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT Runtime)
endfunction()

# What fdpp-compile needs beside itself: kernel headers, for the text it emits,
# and measured tables. They lie at the same place relative to the programs of the
# build tree. The demo's phi.json goes with them.
function(fdpp_install_kernels)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/runtime/kernels
    DESTINATION ${FDPP_SHARE} COMPONENT Compiler FILES_MATCHING PATTERN *.h)
  install(FILES
    ${PROJECT_SOURCE_DIR}/runtime/include/fdpp-runtime/model_abi.h
    DESTINATION ${FDPP_SHARE}/include/fdpp-runtime COMPONENT Compiler)
  if(EXISTS ${PROJECT_SOURCE_DIR}/share/tuning)
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/share/tuning
      DESTINATION ${FDPP_SHARE} COMPONENT Compiler)
  endif()
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/share/phi
    DESTINATION ${FDPP_SHARE} COMPONENT Compiler)
  set(tree ${PROJECT_BINARY_DIR}/share/fdpp)
  if(IS_SYMLINK ${tree}) # of a build from before there was more to link
    file(REMOVE ${tree})
  endif()
  file(MAKE_DIRECTORY ${tree})
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/runtime/kernels ${tree}/kernels SYMBOLIC)
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/runtime/include ${tree}/include SYMBOLIC)
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/share/tuning ${tree}/tuning SYMBOLIC)
endfunction()

# What passes outside of the project's tree are built with: the dialects' headers
# and, as FDPP::pass-plugin, how to use them. No library: the tool that loads a
# plugin has all that these headers declare (test/install).
function(fdpp_install_pass_plugin)
  foreach(tree ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
    foreach(part Dialect Pipelines)
      install(DIRECTORY ${tree}/include/fdpp/${part}
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/fdpp COMPONENT Development
        FILES_MATCHING PATTERN *.h PATTERN *.td PATTERN *.h.inc
        PATTERN Interpreter EXCLUDE PATTERN CMakeFiles EXCLUDE)
    endforeach()
  endforeach()
  add_library(fdpp_pass_plugin INTERFACE)
  target_include_directories(fdpp_pass_plugin INTERFACE
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(fdpp_pass_plugin INTERFACE cxx_std_20)
  # LLVM is built without run-time type information.
  target_compile_options(fdpp_pass_plugin INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-fno-rtti>)
  set_target_properties(fdpp_pass_plugin PROPERTIES EXPORT_NAME pass-plugin)
  install(TARGETS fdpp_pass_plugin EXPORT FDPPPassPluginTargets)
  install(EXPORT FDPPPassPluginTargets NAMESPACE FDPP::
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/FDPP COMPONENT Development)
endfunction()

# fdpp-export as sources that pip installs from, and the demo over all of it.
function(fdpp_install_python)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/python/src
    DESTINATION ${FDPP_SHARE}/python COMPONENT Compiler
    FILES_MATCHING PATTERN *.py PATTERN *.egg-info EXCLUDE
    PATTERN __pycache__ EXCLUDE)
  install(FILES ${PROJECT_SOURCE_DIR}/python/pyproject.toml
    ${PROJECT_SOURCE_DIR}/LICENSE
    DESTINATION ${FDPP_SHARE}/python COMPONENT Compiler)
  install(PROGRAMS ${PROJECT_SOURCE_DIR}/utils/demo-installed.sh
    DESTINATION ${FDPP_SHARE} RENAME demo.sh COMPONENT Compiler)
endfunction()

set(CPACK_GENERATOR TXZ)
set(CPACK_PACKAGE_NAME fdpp)
set(CPACK_PACKAGE_VENDOR FDPP)
string(TOLOWER "fdpp-${PROJECT_VERSION}-${CMAKE_SYSTEM_NAME}-${CMAKE_SYSTEM_PROCESSOR}"
  CPACK_PACKAGE_FILE_NAME)
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL Runtime Compiler Development)
set(CPACK_THREADS 0)
include(CPack)
