# The libraries, all from the Debian packages in packages.txt.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED)
# Its check for libatomic cannot compile as C++ (it declares a builtin anew); ours is always there.
set(FOUND_LIBATOMIC TRUE)
find_package(CapnProto REQUIRED)
# Its imported programs point to a folder that Debian does not have.
find_program(CAPNP capnp REQUIRED)
find_program(CAPNPC_CXX capnpc-c++ REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)
if(NOT BASCULE_FUZZ)
  find_package(GTest REQUIRED)
  find_package(rapidcheck REQUIRED)
  find_package(benchmark REQUIRED)
endif()
# libnats and prometheus-cpp have CMake files too, but Debian's name a missing static library and
# want CURL and civetweb for parts that are not used here.
foreach(module IN ITEMS libisal libxxhash liblz4 libzstd liburing libnats prometheus-cpp-core)
  pkg_check_modules(${module} REQUIRED IMPORTED_TARGET ${module})
endforeach()

# asio without Boost, headers only.
find_path(ASIO_INCLUDE asio.hpp REQUIRED)
add_library(asio INTERFACE)
# Whether asio sees aligned_alloc depends on what was included before it: files would differ in how
# its handlers are allocated and freed.
target_compile_definitions(asio INTERFACE
  ASIO_STANDALONE ASIO_NO_DEPRECATED ASIO_DISABLE_STD_ALIGNED_ALLOC)
target_link_libraries(asio INTERFACE Threads::Threads OpenSSL::SSL OpenSSL::Crypto)

# KJ and Cap'n Proto, all that is used of them.
add_library(kj_all INTERFACE)
target_link_libraries(kj_all INTERFACE
  CapnProto::capnp-rpc CapnProto::capnp CapnProto::kj-http CapnProto::kj-async CapnProto::kj)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(kj_all INTERFACE
    "SHELL:-include ${CMAKE_SOURCE_DIR}/cmake/kj_for_clang.h")
endif()
