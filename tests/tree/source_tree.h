// The project's source files as the checks of this folder see them: path from the root and text.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace bascule::tree {

// Path from the root ("src/log/log.h") to the file's text.
using SourceTree = std::map<std::string, std::string>;

// Reads all sources (.h, .cc, .capnp) and README.md files below the folders that hold code.
SourceTree read_source_tree(const std::string& root);

std::vector<std::string_view> lines_of(std::string_view text);

// `text` with comments and the contents of literals replaced by blanks; line breaks stay.
std::string without_comments_and_literals(std::string_view text);

// Of "src/log/log.h": "src/log/".
std::string_view folder_of(std::string_view path);

}  // namespace bascule::tree
