#include "sim/campaign/mutants.h"

#include <toml++/toml.h>
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace bascule::sim {
namespace {

namespace fs = std::filesystem;

// Where the sources and the build are: told by the build.
const fs::path k_source = BASCULE_SOURCE_DIR;
const fs::path k_build = BASCULE_BINARY_DIR;

std::string read_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// Writes only what differs, so that a build sees no change where there is none.
void write_text(const fs::path& path, const std::string& text) {
  if (fs::exists(path) && read_text(path) == text) return;
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

std::string quoted(const fs::path& path) { return "'" + path.string() + "'"; }

// Runs a command and gives its standard output; `status` is its exit status.
std::string capture(const std::string& command, int& status) {
  std::string out;
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) {
    status = -1;
    return out;
  }
  std::array<char, 4096> buffer;
  while (const size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe))
    out.append(buffer.data(), n);
  const int ended = ::pclose(pipe);
  status = WIFEXITED(ended) ? WEXITSTATUS(ended) : -1;
  return out;
}

// A copy of the sources that builds bascule-sim by itself.
class Scratch {
 public:
  // Laid out as a clone with its release build, so that ccache gives it the objects of the others.
  Scratch() : tree_(k_build / "mutants"), build_(tree_ / "build" / "release") {}

  // Brings the copy to the state of the sources. False: it does not build.
  bool prepare() {
    for (const char* folder : {"src", "sim", "capnp", "io", "cmake", "tests", "bench", "fuzz"})
      copy(folder);
    for (const char* file : {"CMakeLists.txt", "CMakePresets.json"})
      write_text(tree_ / file, read_text(k_source / file));
    int status = 0;
    const std::string log =
        capture("cd " + quoted(tree_) + " && cmake --preset release 2>&1", status);
    if (status != 0) std::fputs(log.c_str(), stderr);
    return status == 0 && build();
  }

  bool build() {
    int status = 0;
    const std::string log =
        capture("nice cmake --build " + quoted(build_) + " -j2 --target bascule-sim 2>&1", status);
    if (status != 0) std::fputs(log.c_str(), stderr);
    return status == 0;
  }

  fs::path path_of(const std::string& file) const { return tree_ / file; }

  // The JSON line of a campaign that stops at its first failing seed.
  nlohmann::json campaign(const std::string& world, uint64_t seeds) {
    const fs::path bin = build_ / "bin" / "bascule-sim";
    int status = 0;
    const std::string out = capture(quoted(bin) + " campaign --first --world " + world +
                                        " --seeds " + std::to_string(seeds) + " --json 2>/dev/null",
                                    status);
    nlohmann::json parsed = nlohmann::json::parse(out, nullptr, false);
    if (parsed.is_discarded()) parsed = nlohmann::json::object();
    parsed["status"] = status;
    return parsed;
  }

 private:
  void copy(const char* folder) {
    std::vector<fs::path> wanted;
    if (fs::exists(k_source / folder)) {
      for (const auto& entry : fs::recursive_directory_iterator(k_source / folder)) {
        if (!entry.is_regular_file()) continue;
        wanted.push_back(fs::relative(entry.path(), k_source));
        write_text(tree_ / wanted.back(), read_text(entry.path()));
      }
    }
    std::ranges::sort(wanted);
    if (!fs::exists(tree_ / folder)) return;
    std::vector<fs::path> stale;
    for (const auto& entry : fs::recursive_directory_iterator(tree_ / folder)) {
      if (entry.is_regular_file() &&
          !std::ranges::binary_search(wanted, fs::relative(entry.path(), tree_)))
        stale.push_back(entry.path());
    }
    for (const fs::path& path : stale) fs::remove(path);
  }

  fs::path tree_;
  fs::path build_;
};

struct Kill {
  bool built = true;
  bool killed = false;
  std::string oracle;
  uint64_t seeds = 0;
};

Kill hunt(Scratch& scratch, const Mutant& mutant, const std::string& original, uint64_t seeds_max) {
  Kill out;
  const Result<std::string> mutated = apply_mutant(mutant, original);
  if (!mutated) {
    std::fprintf(stderr, "%s: %s\n", mutant.id.c_str(), mutated.error().to_string().c_str());
    out.built = false;
    return out;
  }
  write_text(scratch.path_of(mutant.file), *mutated);
  out.built = scratch.build();
  if (out.built) {
    const nlohmann::json result = scratch.campaign(mutant.world, seeds_max);
    out.killed = result.value("failures", 0) > 0;
    out.oracle = result.value("first_oracle", "");
    out.seeds = out.killed ? result.value("first_seed", uint64_t{0}) + 1 : seeds_max;
  }
  write_text(scratch.path_of(mutant.file), original);
  return out;
}

void print(const Mutant& mutant, const Kill& kill, bool json) {
  if (json) {
    nlohmann::ordered_json out;
    out["mutant"] = mutant.id;
    out["oracle"] = kill.oracle;
    out["expected"] = mutant.oracle;
    out["killed"] = kill.killed;
    out["seeds"] = kill.seeds;
    std::puts(out.dump().c_str());
  } else {
    std::printf("%-44s %-9s %-10s expected %-10s %llu seeds\n", mutant.id.c_str(),
                kill.killed ? "killed" : "SURVIVED", kill.oracle.c_str(), mutant.oracle.c_str(),
                static_cast<unsigned long long>(kill.seeds));
  }
  std::fflush(stdout);
}

}  // namespace

Result<Mutant> parse_mutant(std::string id, const std::string& text) {
  Mutant out;
  out.id = std::move(id);
  try {
    const toml::table table = toml::parse(text);
    const auto need = [&](const char* key) -> std::string {
      return table[key].value_or(std::string{});
    };
    out.file = need("file");
    out.old_text = need("old");
    out.new_text = need("new");
    out.world = need("world");
    out.oracle = need("oracle");
    out.quick = table["quick"].value_or(false);
    if (const toml::array* faults = table["faults"].as_array()) {
      for (const auto& fault : *faults) out.faults.push_back(fault.value_or(std::string{}));
    }
    if (out.file.empty() || out.old_text.empty() || out.world.empty() || out.oracle.empty())
      return fail(Errc::invalid, out.id + ": needs file, old, world and oracle");
  } catch (const toml::parse_error& error) {
    return fail(Errc::invalid, out.id + ": " + std::string(error.description()));
  }
  return out;
}

Result<std::string> apply_mutant(const Mutant& mutant, const std::string& text) {
  const size_t at = text.find(mutant.old_text);
  if (at == std::string::npos)
    return fail(Errc::invalid, mutant.file + " does not have the old text");
  if (text.find(mutant.old_text, at + 1) != std::string::npos)
    return fail(Errc::invalid, mutant.file + " has the old text more than once");
  std::string out = text;
  out.replace(at, mutant.old_text.size(), mutant.new_text);
  return out;
}

Result<std::vector<Mutant>> load_mutants(const std::string& folder) {
  std::vector<Mutant> list;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".toml") continue;
    BASCULE_TRY_ASSIGN(Mutant mutant,
                       parse_mutant(entry.path().stem().string(), read_text(entry.path())));
    list.push_back(std::move(mutant));
  }
  std::ranges::sort(list, {}, &Mutant::id);
  return list;
}

std::string source_directory() { return k_source.string(); }

MutantVerdict mutants(const MutantOptions& options) {
  Result<std::vector<Mutant>> all = load_mutants((k_source / "sim" / "mutants").string());
  if (!all) {
    std::fprintf(stderr, "%s\n", all.error().to_string().c_str());
    return MutantVerdict::broken;
  }
  std::vector<Mutant> list;
  for (Mutant& mutant : *all) {
    const bool named = std::ranges::find(options.only, mutant.id) != options.only.end();
    if (options.only.empty() ? (!options.quick || mutant.quick) : named)
      list.push_back(std::move(mutant));
  }
  if (list.empty() || list.size() < options.only.size()) {
    std::fprintf(stderr, "bascule-sim: no such mutant\n");
    return MutantVerdict::usage;
  }
  Scratch scratch;
  if (!scratch.prepare()) return MutantVerdict::broken;
  MutantVerdict verdict = MutantVerdict::all_killed;
  for (const Mutant& mutant : list) {
    const Kill kill = hunt(scratch, mutant, read_text(k_source / mutant.file), options.seeds_max);
    if (!kill.built) {
      verdict = MutantVerdict::broken;
      continue;
    }
    print(mutant, kill, options.json);
    if (!kill.killed && verdict == MutantVerdict::all_killed)
      verdict = MutantVerdict::some_survived;
  }
  return verdict;
}

std::string source_commit() {
  int status = 0;
  std::string out =
      capture("git -C " + quoted(k_source) + " rev-parse --short HEAD 2>/dev/null", status);
  while (out.ends_with('\n')) out.pop_back();
  return status == 0 && !out.empty() ? out : "unknown";
}

}  // namespace bascule::sim
