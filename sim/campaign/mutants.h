// Measures the simulator's power: plants one bug at a time into a copy of the sources and counts the
// seeds that its worlds need to find it.
//
// A mutant is a file sim/mutants/<id>.toml:
//   file = "src/log/…"          from the repository's root
//   old = """exact text"""      occurs once
//   new = """what replaces it"""
//   world = "storage"
//   oracle = "O1"               expected to fire first
//   faults = ["machine_crash"]  classes that it needs
//   quick = true                belongs to the small set (optional)
//   why = "…"
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/base/result.h"

namespace bascule::sim {

struct Mutant {
  std::string id;
  std::string file;
  std::string old_text;
  std::string new_text;
  std::string world;
  std::string oracle;
  std::vector<std::string> faults;
  bool quick = false;
};

struct MutantOptions {
  bool quick = false;
  bool json = false;
  std::vector<std::string> only;
  uint64_t seeds_max = 20000;
};

enum class MutantVerdict : uint8_t { all_killed, some_survived, usage, broken };

// Reads one file's text. `invalid` names what is missing.
Result<Mutant> parse_mutant(std::string id, const std::string& text);
// `text` with the mutant's bug in it; `invalid` where its old text does not occur exactly once.
Result<std::string> apply_mutant(const Mutant& mutant, const std::string& text);

// Runs the mutants and prints a table, or with `json` one object per mutant:
// {"mutant","oracle","expected","killed","seeds"}.
MutantVerdict mutants(const MutantOptions& options);

// All mutants of a folder, ascending by id. The first that makes no sense is the error.
Result<std::vector<Mutant>> load_mutants(const std::string& folder);

// The root of the sources that the program was built from.
std::string source_directory();
// The commit that the program was built from; "unknown" outside of a repository.
std::string source_commit();

}  // namespace bascule::sim
