#include "tests/tree/symbols.h"

#include <algorithm>
#include <array>
#include <regex>

#include "tests/tree/source_tree.h"

namespace bascule::tree {

namespace {

struct Denied {
  std::regex symbol;  // matches the whole demangled name, without arguments
  const char* what;
};

const std::vector<Denied>& denied() {
  static const std::vector<Denied> list = [] {
    const std::vector<std::pair<const char*, const char*>> patterns{
        {"clock(_gettime|_getres|_nanosleep)?|time|gettimeofday|times|ftime|(gm|local|mk)time(_r)?|"
         "strftime|(u|nano)?sleep|alarm|timer(fd)?_.*|setitimer",
         "a clock"},
        {"std::chrono::.*", "a clock"},
        {"f?open(at)?(64)?|creat(64)?|f?close|p?(read|write)v?(64)?(v2)?|f?data?sync|fsync|"
         "sync_file_range|l?seek(64)?|lseek64|f?truncate(64)?|fallocate(64)?|posix_fallocate(64)?|"
         "f?l?stat(64)?(at)?|statx|mkdir(at)?|rename(at2?)?|unlink(at)?|remove|rmdir|"
         "(open|read|close)dir(64)?|flock|fcntl(64)?|ioctl|m(un)?map(64)?|msync|mmap|dup[23]?|"
         "pipe2?|"
         "io_uring_.*|link(at)?|symlink|tmpfile|mkstemp|chdir|getcwd|realpath",
         "a file"},
        {"std::filesystem::.*|std::(basic_)?(i|o)?f(stream|ilebuf).*|std::basic_filebuf.*",
         "a file"},
        {"f?(printf|puts|putc|putchar|flush|write|read|gets?|getc|scanf|eof|error)(_unlocked)?|"
         "v?f?printf|vf?scanf|perror|__fprintf_chk|__printf_chk|std(in|out|err)",
         "standard input or output"},
        {"std::(__cxx11::)?basic_(i|o|io)stream.*|std::(__cxx11::)?basic_(i|o)?stringstream.*|"
         "std::(cout|cerr|clog|cin|wcout|wcerr)|std::ios_base.*|std::basic_ios.*|std::ostream.*|"
         "std::istream.*|std::__ostream_insert.*|std::operator<<.*",
         "an iostream"},
        {"std::locale.*|(set|new|use|free)locale|localeconv|nl_langinfo.*|std::(__cxx11::)?"
         "(use_facet|ctype|num_get|num_put|collate|numpunct).*|strto[df]|strtold|atof|"
         "(is|to)(alpha|alnum|digit|space|upper|lower|punct|xdigit|print)|__ctype_.*|strcoll|"
         "strxfrm",
         "a locale"},
        {"socket(pair)?|connect|bind|listen|accept4?|(send|recv)(to|from|msg|mmsg)?|shutdown|"
         "[gs]etsockopt|getaddrinfo|gethostby.*|gethostname|e?poll(_.*)?|select|eventfd",
         "a socket"},
        {"p?thread_.*|std::thread.*|std::jthread.*|std::this_thread.*|std::(recursive_|timed_|"
         "shared_)?"
         "mutex.*|std::condition_variable.*|std::__future_base.*|std::(latch|barrier|counting_"
         "semaphore).*|sem_.*|mtx_.*|cnd_.*|thrd_.*|__atomic_.*|sched_.*|v?fork|clone|exec[vl]p?e?|"
         "posix_spawnp?|system|popen|wait(pid)?|__tls_get_addr|__cxa_thread_atexit|__emutls_.*",
         "a thread, a lock or a process"},
        {"(secure_)?getenv|(set|put|unset)env|environ|__environ|sysconf|uname|getpid|gettid|getuid|"
         "sysinfo|get_nprocs(_conf)?|get(r?)usage|signal|sigaction|raise|kill|exit|_exit|quick_"
         "exit|"
         "atexit|std::exit",
         "the environment"},
        {"s?rand(om)?(_r)?|[dlemnj]rand48|s?rand48|arc4random.*|getrandom|getentropy|"
         "std::random_device.*|std::(mersenne_twister|uniform_).*|RAND_.*|uuid_.*",
         "ambient randomness"},
        {"std::_Hash_bytes.*|std::_Fnv_hash_bytes.*|std::__detail::_Prime_rehash_policy.*",
         "std::hash or an unordered container"},
        {"(kj|capnp|asio|natsConnection|nats|spdlog|SSL|BIO|EVP)(::|_).*",
         "a library of the world"},
    };
    std::vector<Denied> out;
    for (const auto& [pattern, what] : patterns) out.push_back({std::regex(pattern), what});
    return out;
  }();
  return list;
}

struct Allowed {
  std::string_view object;
  std::string_view symbol;
};
// An assertion that fails says why on stderr, and ends the process by abort().
constexpr std::array k_allowed{Allowed{"assert.cc.o", "fprintf"}, Allowed{"assert.cc.o", "stderr"},
                               Allowed{"assert.cc.o", "__fprintf_chk"}};

// "std::chrono::_V2::system_clock::now()" without "()", "pread@GLIBC_2.2.5" without its version.
std::string_view bare_name(std::string_view symbol) {
  symbol = symbol.substr(0, symbol.find('@'));
  return symbol.substr(0, symbol.find('('));
}

}  // namespace

std::vector<std::string> symbol_violations(std::string_view nm_output) {
  // "lib/libbascule_core.a:assert.cc.o:                 U fprintf"
  static const std::regex line_format(R"(^(.*):\s+[Uwv] (.*)$)");
  std::vector<std::string> violations;
  for (std::string_view line : lines_of(nm_output)) {
    std::match_results<std::string_view::const_iterator> match;
    if (!std::regex_match(line.begin(), line.end(), match, line_format)) continue;
    const std::string object = match[1].str().substr(match[1].str().rfind(':') + 1);
    const std::string symbol = match[2].str();
    const std::string_view name = bare_name(symbol);
    for (const Denied& rule : denied()) {
      if (!std::regex_match(name.begin(), name.end(), rule.symbol)) continue;
      const bool allowed = std::ranges::any_of(
          k_allowed, [&](const Allowed& a) { return a.object == object && a.symbol == name; });
      if (!allowed) violations.push_back(object + " uses " + rule.what + ": " + symbol);
      break;
    }
  }
  return violations;
}

std::vector<std::string> mutable_globals(std::string_view objdump_output) {
  // "0000000000000000 l     O .bss	0000000000000004 bascule::(anonymous namespace)::counter"
  // Constants that hold pointers are in .data.rel.*; guards stand beside the variable they guard.
  static const std::regex variable(
      R"(^[0-9a-f]+ .{6}O \.t?(data|bss)(?!\.rel)\S*\s+[0-9a-f]+ (?:\.hidden )?(.*)$)");
  static const std::regex ignored(R"(^(guard variable for |DW\.ref\.).*)");
  std::vector<std::string> found;
  for (std::string_view line : lines_of(objdump_output)) {
    std::match_results<std::string_view::const_iterator> match;
    if (!std::regex_match(line.begin(), line.end(), match, variable)) continue;
    const std::string name = match[2].str();
    if (!std::regex_match(name, ignored))
      found.push_back("a variable that lives on its own: " + name);
  }
  return found;
}

}  // namespace bascule::tree
