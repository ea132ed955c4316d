// What the compiled core asks of the world outside: read from nm's and objdump's output over its
// archive. An include can hide behind another; a symbol that is called cannot.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bascule::tree {

// Of the output of `nm -A -u -C`: one sentence per symbol that stands for a clock, a file, a socket,
// a thread, a lock, the environment, a locale or ambient randomness, allowed exceptions left out.
std::vector<std::string> symbol_violations(std::string_view nm_output);

// Of the output of `objdump -t -C`: one sentence per variable that is not constant.
std::vector<std::string> mutable_globals(std::string_view objdump_output);

}  // namespace bascule::tree
