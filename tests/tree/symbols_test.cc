#include "tests/tree/symbols.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>

namespace bascule::tree {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const std::string k_core = std::string(BASCULE_BINARY_DIR) + "/lib/libbascule_core.a";

// What `command` prints; a command that fails fails the test.
std::string output_of(const std::string& command) {
  std::string output;
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) {
    ADD_FAILURE() << "cannot run " << command;
    return output;
  }
  char buffer[4096];
  while (const size_t n = std::fread(buffer, 1, sizeof buffer, pipe)) output.append(buffer, n);
  EXPECT_EQ(0, ::pclose(pipe)) << command;
  return output;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += line + "\n";
  return out;
}

TEST(symbols, the_core_asks_nothing_of_the_world) {
  const std::string symbols = output_of("nm -A -u -C " + k_core);
  ASSERT_THAT(symbols, HasSubstr("assert.cc.o"));
  const auto violations = symbol_violations(symbols);
  EXPECT_THAT(violations, IsEmpty()) << joined(violations);
}

TEST(symbols, the_core_has_no_variables_of_its_own) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers add variables";
#endif
  const std::string symbols = output_of("objdump -t -C " + k_core);
  ASSERT_THAT(symbols, HasSubstr("assert.cc.o"));
  const auto variables = mutable_globals(symbols);
  EXPECT_THAT(variables, IsEmpty()) << joined(variables);
}

// This program opens files and runs commands: the check must see that.
TEST(symbols, a_program_that_uses_files_is_found_out) {
  const std::string symbols = output_of("nm -A -u -C " BASCULE_BINARY_DIR "/bin/tree_test");
  const std::string violations = joined(symbol_violations(symbols));
  EXPECT_THAT(violations, HasSubstr("std::filesystem::"));
  EXPECT_THAT(violations, HasSubstr("popen"));
}

TEST(symbols, each_kind_of_forbidden_symbol_is_found) {
  for (const char* symbol :
       {"clock_gettime",
        "time",
        "gettimeofday",
        "nanosleep",
        "std::chrono::_V2::system_clock::now()",
        "std::chrono::_V2::steady_clock::now()",
        "open",
        "open64",
        "openat",
        "read",
        "write",
        "pread",
        "pwrite64",
        "pwritev",
        "fsync",
        "fdatasync",
        "rename",
        "mmap",
        "io_uring_submit",
        "fopen",
        "std::filesystem::status(std::filesystem::__cxx11::path const&)",
        "printf",
        "fwrite",
        "stderr",
        "std::cout",
        "std::ios_base::Init::Init()",
        "std::locale::locale()",
        "setlocale",
        "strtod",
        "std::basic_ostream<char, std::char_traits<char> >& std::operator<< <char>(int)",
        "socket",
        "connect",
        "bind",
        "recvmsg",
        "epoll_wait",
        "pthread_create",
        "pthread_mutex_lock",
        "std::thread::_M_start_thread(std::unique_ptr<std::thread::_State>, void (*)())",
        "std::condition_variable::wait(std::unique_lock<std::mutex>&)",
        "sem_wait",
        "fork",
        "getenv",
        "secure_getenv",
        "getpid",
        "exit",
        "rand",
        "random",
        "arc4random",
        "getrandom",
        "std::random_device::_M_getval()",
        "std::_Hash_bytes(void const*, unsigned long, unsigned long)",
        "kj::runCatchingExceptions",
        "read@GLIBC_2.2.5"}) {
    const std::string line =
        std::string("lib/libbascule_core.a:log.cc.o:                 U ") + symbol;
    EXPECT_THAT(symbol_violations(line + "\n"), ElementsAre(HasSubstr(symbol))) << symbol;
  }
}

TEST(symbols, harmless_symbols_and_named_exceptions_pass) {
  for (const char* symbol :
       {"memcpy", "memcmp", "operator new(unsigned long)", "abort", "ZSTD_compress", "crc32_iscsi",
        "std::__throw_length_error(char const*)", "bascule::Writer::varint(unsigned long)",
        "bascule::log::open(bascule::env::Disk&)", "bascule::time(int)", "__cxa_begin_catch",
        "std::__detail::_List_node_base::_M_hook(std::__detail::_List_node_base*)"}) {
    const std::string line = std::string("x.a:log.cc.o:                 U ") + symbol;
    EXPECT_THAT(symbol_violations(line), IsEmpty()) << symbol;
  }
  EXPECT_THAT(symbol_violations("x.a:assert.cc.o:    U fprintf\n"), IsEmpty());
  EXPECT_THAT(symbol_violations("x.a:other.cc.o:    U fprintf\n"), Not(IsEmpty()));
}

TEST(symbols, variables_are_told_from_constants) {
  const auto found = mutable_globals(
      "0000000000000000 l     O .bss\t0000000000000004 bascule::counter\n"
      "0000000000000000 g     O .data\t0000000000000004 bascule::setting\n"
      "0000000000000000 u     O .bss._ZZ1fvE1x\t0000000000000004 f()::x\n"
      "0000000000000000 l     O .tbss\t0000000000000004 bascule::per_thread\n"
      "0000000000000000 l     O .bss\t0000000000000008 guard variable for f()::x\n"
      "0000000000000000 l     O .data.rel.local\t0000000000000630 bascule::k_entries\n"
      "0000000000000000 w     O .data.rel.ro._ZTV1A\t0000000000000018 vtable for A\n"
      "0000000000000000 l     O .rodata\t0000000000000018 bascule::k_table\n"
      "0000000000000000 l    d  .bss\t0000000000000000 .bss\n");
  EXPECT_THAT(found, ElementsAre(HasSubstr("counter"), HasSubstr("setting"), HasSubstr("f()::x"),
                                 HasSubstr("per_thread")));
}

}  // namespace
}  // namespace bascule::tree
