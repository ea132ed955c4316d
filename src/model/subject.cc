#include "src/model/subject.h"

#include "src/model/limits.h"

namespace bascule::model {
namespace {

// Takes the first token off `rest`; `rest` is empty after the last.
std::string_view take_token(std::string_view& rest) {
  const size_t dot = rest.find('.');
  const std::string_view token = rest.substr(0, dot);
  rest = dot == std::string_view::npos ? std::string_view{} : rest.substr(dot + 1);
  return token;
}

bool valid_tokens(std::string_view text, bool wildcards) {
  if (text.empty() || text.size() > limits::k_subject_bytes_max || text.back() == '.') return false;
  while (!text.empty()) {
    const std::string_view token = take_token(text);
    if (token.empty()) return false;
    if (token == "*" || token == ">") {
      if (!wildcards || (token == ">" && !text.empty())) return false;
      continue;
    }
    for (const char c : token) {
      if (static_cast<unsigned char>(c) <= ' ' || c == '\x7f') return false;
    }
  }
  return true;
}

}  // namespace

bool valid_subject(std::string_view subject) { return valid_tokens(subject, false); }
bool valid_subject_filter(std::string_view filter) { return valid_tokens(filter, true); }

bool subject_matches(std::string_view filter, std::string_view subject) {
  while (!filter.empty() && !subject.empty()) {
    const std::string_view want = take_token(filter);
    if (want == ">") return true;
    const std::string_view have = take_token(subject);
    if (want != "*" && want != have) return false;
  }
  return filter.empty() && subject.empty();
}

bool filters_overlap(std::string_view a, std::string_view b) {
  while (!a.empty() && !b.empty()) {
    const std::string_view x = take_token(a);
    const std::string_view y = take_token(b);
    if (x == ">" || y == ">") return true;
    if (x != "*" && y != "*" && x != y) return false;
  }
  return a.empty() && b.empty();
}

bool first_token_literal(std::string_view filter) {
  const std::string_view token = take_token(filter);
  return token != "*" && token != ">";
}

bool reserved_subject(std::string_view subject) {
  return subject.starts_with('$') || subject.starts_with("_INBOX.") || subject == "_INBOX";
}

bool records_subject(std::string_view filter, std::string_view subject) {
  if (reserved_subject(subject) && !first_token_literal(filter)) return false;
  return subject_matches(filter, subject);
}

bool recorded_subjects_overlap(std::string_view a, std::string_view b) {
  if (!filters_overlap(a, b)) return false;
  // Filters that overlap have equal first tokens or a wildcard there: where one side names a reserved
  // token, a wildcard on the other side does not record it.
  if (first_token_literal(a) == first_token_literal(b)) return true;
  return !reserved_subject(first_token_literal(a) ? a : b);
}

}  // namespace bascule::model
