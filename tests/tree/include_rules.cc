#include "tests/tree/include_rules.h"

#include <algorithm>
#include <array>
#include <optional>
#include <regex>

namespace bascule::tree {

namespace {

struct Include {
  size_t line = 0;
  bool quoted = false;  // "x", not <x>
  std::string name;
};

std::vector<Include> includes_of(std::string_view text) {
  static const std::regex directive(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"])");
  std::vector<Include> includes;
  const auto lines = lines_of(text);
  for (size_t i = 0; i < lines.size(); ++i) {
    std::match_results<std::string_view::const_iterator> match;
    if (!std::regex_search(lines[i].begin(), lines[i].end(), match, directive)) continue;
    includes.push_back({i + 1, match[1].str() == "\"", match[2].str()});
  }
  return includes;
}

// What the files whose path matches `who` may include of the project, as one pattern.
struct Rule {
  const char* who;
  const char* may;
  bool sees_api = false;  // broker/api.h too, and all that it includes
};

// The first rule that matches a path is its rule. Tests, benchmarks and fuzz targets have none.
constexpr std::array k_rules{
    Rule{"src/base/.*", "src/base/.*"},
    Rule{"src/model/.*", "src/(base|model)/.*"},
    Rule{"src/env/.*", "src/(base|model|env)/.*"},
    Rule{"src/log/.*", "src/(base|model|env|log)/.*"},
    Rule{"src/raft/.*", "src/(base|model|env|raft)/.*"},
    Rule{"src/peers/.*", "src/((base|model|env|peers)/.*|raft/(message|types)\\.h)"},
    Rule{"src/controller/.*", "src/(base|model|env|raft|peers|controller)/.*"},
    Rule{"src/partition/.*", "src/(base|model|env|log|raft|peers|partition)/.*"},
    Rule{"src/broker/.*", "src/(base|model|env|log|raft|peers|controller|partition|broker)/.*"},
    Rule{"src/nats/.*", "src/(base|model|env|nats)/.*", true},
    Rule{"src/client/.*", "src/(base|model|env|client)/.*", true},
    Rule{"src/.*", "nothing: it is in no folder of src/ that has a rule"},
    Rule{"capnp/.*",
         "(src/(base|model|env|client)|capnp)/.*|src/[a-z]+/[a-z_]*codec\\.h|"
         "src/controller/(command|metadata|peer_messages)[a-z_]*\\.h|src/raft/(message|types)\\.h",
         true},
    Rule{"io/(main\\.cc|cli/.*|(serve|node)[a-z_]*\\.(h|cc))", "(src|capnp|io)/.*"},
    Rule{"io/.*", "(src/(base|model|env)|io)/.*|src/peers/authenticator\\.h"},
    Rule{"sim/.*", "(src|capnp|sim)/.*"},
};

// Standard headers that have no clock, file, thread, randomness, locale or environment in them, and
// whose use is the same in each run, and the libraries of pure functions.
constexpr std::array k_src_headers{
    "algorithm",
    "array",
    "bit",
    "charconv",
    "climits",
    "compare",
    "concepts",
    "cmath",
    "coroutine",
    "cstddef",
    "cstdint",
    "cstring",
    "deque",
    "expected",
    "functional",
    "iterator",
    "limits",
    "list",
    "initializer_list",
    "map",
    "memory",
    "numbers",
    "memory_resource",
    "new",
    "numeric",
    "optional",
    "queue",
    "ranges",
    "set",
    "source_location",
    "span",
    "stack",
    "string",
    "string_view",
    "tuple",
    "type_traits",
    "typeinfo",
    "utility",
    "variant",
    "vector",
    "version",
    "immintrin.h",
    "nmmintrin.h",
    "fmt/core.h",
    "fmt/format.h",
    "isa-l/crc.h",
    "lz4.h",
    "xxhash.h",
    "zstd.h",
};

// Headers that only some files of src/ may include, with the reason.
struct Exception {
  const char* path;
  const char* header;
};
constexpr std::array k_src_exceptions{
    Exception{"src/base/assert.cc", "cstdio"},   // says on stderr why the process ends
    Exception{"src/base/assert.cc", "cstdlib"},  // and ends it
    Exception{"src/base/bytes.cc", "cstdlib"},   // aligned memory
};

// Libraries that have one home, outside src/.
struct Home {
  const char* header;
  const char* who;
};
constexpr std::array k_homes{
    Home{"(asio|openssl|nats|spdlog|liburing|prometheus)[/.].*|liburing\\.h|asio\\.hpp",
         "(io|tests|bench)/.*"},
    // KJ: in capnp/, where it is put together with the loop, and in what tests it.
    Home{"(kj|capnp)/.*", "(capnp|sim|tests|bench|fuzz)/.*|io/(serve|node|cli/)[a-z_/]*\\.(h|cc)"},
    Home{"(CLI|nlohmann|toml\\+\\+)/.*", "(io|sim|tests|bench)/.*"},
};

bool matches(std::string_view text, const char* pattern) {
  return std::regex_match(text.begin(), text.end(), std::regex(pattern));
}

const Rule* rule_of(std::string_view path) {
  const auto rule =
      std::ranges::find_if(k_rules, [&](const Rule& r) { return matches(path, r.who); });
  return rule == k_rules.end() ? nullptr : &*rule;
}

// A generated header exists when its schema does.
bool exists(const SourceTree& tree, const std::string& name) {
  if (tree.contains(name)) return true;
  return name.ends_with(".capnp.h") && tree.contains(name.substr(0, name.size() - 2));
}

std::optional<std::string> project_include_fault(const SourceTree& tree,
                                                 const std::set<std::string>& api,
                                                 const std::string& path, const std::string& name) {
  if (!exists(tree, name)) return "no such file from the root";
  const Rule* rule = rule_of(path);
  if (rule == nullptr || matches(name, rule->may)) return std::nullopt;
  if (rule->sees_api && api.contains(name)) return std::nullopt;
  return std::string("may include of the project ") + rule->may +
         (rule->sees_api ? " and src/broker/api.h" : "");
}

std::optional<std::string> library_include_fault(const std::string& path, const std::string& name) {
  for (const Home& home : k_homes) {
    if (matches(name, home.header) && !matches(path, home.who)) {
      return std::string("this library's home is ") + home.who;
    }
  }
  if (!path.starts_with("src/") || std::ranges::find(k_src_headers, name) != k_src_headers.end()) {
    return std::nullopt;
  }
  for (const Exception& exception : k_src_exceptions) {
    if (path == exception.path && name == exception.header) return std::nullopt;
  }
  return "src/ includes only headers without clock, file, thread, lock, ambient randomness, "
         "environment or locale (the list is in tests/tree/include_rules.cc)";
}

}  // namespace

std::set<std::string> include_closure(const SourceTree& tree, const std::string& path) {
  std::set<std::string> seen;
  std::vector<std::string> left{path};
  while (!left.empty()) {
    const std::string next = left.back();
    left.pop_back();
    const auto file = tree.find(next);
    if (file == tree.end() || !seen.insert(next).second) continue;
    for (const Include& include : includes_of(file->second)) {
      if (include.quoted) left.push_back(include.name);
    }
  }
  return seen;
}

std::vector<std::string> include_violations(const SourceTree& tree) {
  std::vector<std::string> violations;
  const std::set<std::string> api = include_closure(tree, "src/broker/api.h");
  for (const auto& [path, text] : tree) {
    if (path.ends_with(".md") || path.ends_with(".capnp")) continue;
    for (const Include& include : includes_of(text)) {
      const auto fault = include.quoted ? project_include_fault(tree, api, path, include.name)
                                        : library_include_fault(path, include.name);
      if (!fault) continue;
      const std::string name = include.quoted ? '"' + include.name + '"' : '<' + include.name + '>';
      violations.push_back(path + ":" + std::to_string(include.line) + ": #include " + name + ": " +
                           *fault);
    }
  }
  return violations;
}

std::vector<std::string> word_violations(const SourceTree& tree) {
  struct Word {
    std::regex pattern;
    const char* reason;
    bool everywhere = false;  // in all that runs in the simulator, not in src/ alone
  };
  static const std::array words{
      Word{std::regex(R"(\bthrow\b)"), "errors are values: no exception is thrown"},
      Word{std::regex(R"(\bthread_local\b)"), "one loop per broker, and no hidden state"},
      Word{std::regex(R"(\bunordered_(map|set|multimap|multiset)\b)"),
           "the order of iteration is not the same everywhere", true},
      Word{std::regex(R"(\bstd::hash\b)"), "its values are not the same everywhere", true},
      Word{std::regex(R"(\bstd::(multi)?(set|map)<\s*(const\s+)?[\w:]+(\s*const)?\s*\*)"),
           "addresses are in another order in each run", true},
      Word{std::regex(R"(\bstd::(multi)?(set|map)<\s*std::(shared|unique|weak)_ptr\b)"),
           "addresses are in another order in each run", true},
      Word{std::regex(R"(\bstd::(to_string|stod|stof)\s*\(\s*[a-z_]*(double|float))"),
           "depends on the locale: std::to_chars, std::from_chars"},
      Word{std::regex(R"(\b__(DATE|TIME|TIMESTAMP)__\b)"), "builds are reproducible"},
  };
  std::vector<std::string> violations;
  for (const auto& [path, text] : tree) {
    const bool core = path.starts_with("src/");
    const bool simulated = core || path.starts_with("capnp/") || path.starts_with("sim/");
    if (!simulated || path.ends_with(".md")) continue;
    const std::string code = without_comments_and_literals(text);
    const auto lines = lines_of(code);
    for (size_t i = 0; i < lines.size(); ++i) {
      for (const Word& word : words) {
        if (!core && !word.everywhere) continue;
        std::match_results<std::string_view::const_iterator> match;
        if (!std::regex_search(lines[i].begin(), lines[i].end(), match, word.pattern)) continue;
        violations.push_back(path + ":" + std::to_string(i + 1) + ": " + match[0].str() + ": " +
                             word.reason);
      }
    }
  }
  return violations;
}

}  // namespace bascule::tree
