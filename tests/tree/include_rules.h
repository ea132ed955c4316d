// Which file may include which, and what src/ may not use at all.
//
//   base → model → env → {log, raft} → peers → {controller, partition} → broker
//
// Of raft, peers sees the values that travel alone, and nothing of log. nats and client see base, model,
// env and broker/api.h. capnp/ sees those, client, and the codec interfaces, metadata structs and Raft's
// values of src/. io/ sees base, model, env and the interface of the peers' secret, its composition root
// sees all. sim/ sees all of src/ and capnp/, never io/. src/ sees neither of the three.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/tree/source_tree.h"

namespace bascule::tree {

// One sentence per offending line: "src/log/log.h:7: may not include \"io/x.h\"".
std::vector<std::string> include_violations(const SourceTree& tree);

// Uses, in src/, of what needs no include or hides behind an allowed one.
std::vector<std::string> word_violations(const SourceTree& tree);

// All files that `path` includes, itself among them, directly or not.
std::set<std::string> include_closure(const SourceTree& tree, const std::string& path);

}  // namespace bascule::tree
