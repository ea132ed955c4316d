#include "tests/tree/source_tree.h"

#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace bascule::tree {

namespace fs = std::filesystem;

SourceTree read_source_tree(const std::string& root) {
  constexpr std::array folders{"src", "capnp", "io", "sim", "tests", "bench", "fuzz"};
  SourceTree tree;
  for (const char* folder : folders) {
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(root) / folder)) {
      const fs::path& path = entry.path();
      const std::string extension = path.extension();
      if (!entry.is_regular_file()) continue;
      if (extension != ".h" && extension != ".cc" && extension != ".capnp" &&
          path.filename() != "README.md") {
        continue;
      }
      std::ifstream file(path, std::ios::binary);
      tree[fs::relative(path, root).generic_string()] =
          std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
  }
  return tree;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

namespace {

bool word_character(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// The end of the literal or comment that begins at `at`, or `at` when none does.
size_t skip_from(std::string_view text, size_t at) {
  const std::string_view rest = text.substr(at);
  auto past = [&](size_t from, std::string_view terminator) {
    const size_t found = text.find(terminator, from);
    return found == std::string_view::npos ? text.size() : found + terminator.size();
  };
  if (rest.starts_with("//")) return std::min(text.find('\n', at), text.size());
  if (rest.starts_with("/*")) return past(at + 2, "*/");
  if (rest.starts_with("R\"") && (at == 0 || !word_character(text[at - 1]))) {
    const size_t open = text.find('(', at);
    if (open == std::string_view::npos) return text.size();
    return past(open, ")" + std::string(text.substr(at + 2, open - at - 2)) + "\"");
  }
  const char quote = rest.front();
  // 1'000: a separator of digits, not a literal.
  const bool separator = quote == '\'' && at > 0 && word_character(text[at - 1]);
  if ((quote != '"' && quote != '\'') || separator) return at;
  size_t i = at + 1;
  while (i < text.size() && text[i] != quote && text[i] != '\n') i += text[i] == '\\' ? 2 : 1;
  return std::min(i + 1, text.size());
}

}  // namespace

std::string without_comments_and_literals(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const size_t end = skip_from(text, i);
    if (end == i) {
      out += text[i++];
      continue;
    }
    for (; i < end; ++i) out += text[i] == '\n' ? '\n' : ' ';
  }
  return out;
}

std::string_view folder_of(std::string_view path) { return path.substr(0, path.rfind('/') + 1); }

}  // namespace bascule::tree
