# Compiler flags, common to all targets. The presets in CMakePresets.json choose among them.
set(BASCULE_SANITIZE "" CACHE STRING "value of -fsanitize= for every target, or empty")
option(BASCULE_VERIFY "define BASCULE_VERIFY: the expensive checks are on" OFF)
option(BASCULE_FUZZ "build the libFuzzer targets, and only these" OFF)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
# Assertions stay on in every build: NDEBUG is never defined.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g")

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_SCAN_FOR_MODULES OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)

add_compile_options(-Wall -Wextra -Wshadow -Werror -fno-omit-frame-pointer)
if(CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  add_compile_options(-march=x86-64-v2)
endif()

# The root is searched for quoted includes only. As an -I folder it would let our capnp/ stand
# before the library's <capnp/…>.
add_compile_options("SHELL:-iquote ${CMAKE_SOURCE_DIR}")
# __FILE__ in assertions reads src/log/log.cc, whoever built it where.
add_compile_options(-fmacro-prefix-map=${CMAKE_SOURCE_DIR}/= -fmacro-prefix-map=../../=)

if(BASCULE_VERIFY)
  add_compile_definitions(BASCULE_VERIFY)
endif()
if(BASCULE_SANITIZE)
  add_compile_options(-fsanitize=${BASCULE_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${BASCULE_SANITIZE})
  # Instrumented code leads GCC's flow analysis astray (seen in std::regex and std::variant).
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-maybe-uninitialized)
  endif()
endif()
if(BASCULE_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# ccache, when it is there. Paths below the root are made relative, so that clones share hits; the
# sloppiness is what precompiled headers need.
find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CCACHE})
  # The clang presets build without precompiled headers.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-fpch-preprocess)
  endif()
endif()
